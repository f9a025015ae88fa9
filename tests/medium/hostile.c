/* What a hostile program, or a module within byok, would try at the console of the medium: it says what became of it.
 * tests/medium/room.py runs it there. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

int main(void) {
    const char *typed = "touch pushed\n";
    printf("the console: %s\n", open("/dev/tty1", O_RDWR) < 0 ? strerror(errno) : "open");
    printf("a namespace: %s\n", unshare(CLONE_NEWUSER) ? strerror(errno) : "made");
    fflush(stdout);
    for (const char *key = typed; *key; key++) ioctl(0, TIOCSTI, key); /* as if somebody typed it, after this program */
    if (fork() == 0) {
        setsid();
        sleep(5);
        open("stayed", O_CREAT | O_WRONLY, 0600);
    }
    return 0;
}
