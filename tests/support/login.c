/*
 * A bare PKCS#11 login: what any program before an HSM must do, and nothing else.
 *
 *     login MODULE [careless]
 *
 * The PIN is the first line of standard input. It is read into one buffer, given to C_Login, and wiped;
 * `careless` keeps a copy. Then it says "ready" and waits for its input to end.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The function list: a version, and the functions in the order of PKCS#11 v2.40. */
enum { INITIALIZE = 0, GET_SLOT_LIST = 4, OPEN_SESSION = 12, LOGIN = 18 };
struct list {
    unsigned char version[2];
    void *function[68];
};

typedef unsigned long number;

static char pin[256], copy[256];

int main(int count, char **argument)
{
    void *module = count < 2 ? NULL : dlopen(argument[1], RTLD_NOW);
    number (*get)(struct list **) = module ? (number(*)(struct list **))dlsym(module, "C_GetFunctionList") : NULL;
    struct list *list;
    number slots[16], most = 16, session, len = 0;
    if (!get || get(&list))
        return 2;
    if (((number(*)(void *))list->function[INITIALIZE])(NULL))
        return 3;
    if (((number(*)(unsigned char, number *, number *))list->function[GET_SLOT_LIST])(1, slots, &most) || !most)
        return 4;
    /* CKF_SERIAL_SESSION and CKF_RW_SESSION */
    if (((number(*)(number, number, void *, void *, number *))list->function[OPEN_SESSION])(slots[0], 6, NULL, NULL, &session))
        return 5;
    while (len < sizeof pin && read(0, pin + len, 1) == 1 && pin[len] != '\n')
        len++;
    if (((number(*)(number, number, char *, number))list->function[LOGIN])(session, 1, pin, len))
        return 6;
    if (count > 2)
        memcpy(copy, pin, len);
    explicit_bzero(pin, sizeof pin);
    if (write(1, "ready\n", 6) != 6)
        return 7;
    while (read(0, pin, 1) == 1)
        ;
    return 0;
}
