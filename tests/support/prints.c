/* A PKCS#11 module that prints, as a vendor's does with its debug messages: when it is loaded, and when it is
   asked for its functions, which are those of the module REAL. The second text stays in a buffer until the end. */
#include <dlfcn.h>
#include <stdio.h>

static void *real;

__attribute__((constructor)) static void loaded(void) {
    real = dlopen(REAL, RTLD_NOW);
    puts(TEXT);
    fflush(stdout);
}

__attribute__((destructor)) static void unloaded(void) {
    if (real)
        dlclose(real);
}

unsigned long C_GetFunctionList(void **list) {
    unsigned long (*get)(void **) = real ? (unsigned long (*)(void **))dlsym(real, "C_GetFunctionList") : 0;
    puts(TEXT);
    return get ? get(list) : 5;
}
