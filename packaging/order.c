/* The addresses that a program executes: order OUT PROGRAM WORD...
 *
 * Goes through it and its threads step by step, and writes each address between its first and its last instruction
 * once, in the order of their first execution.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

/* A static program at a fixed address is below. */
#define END 0x8000000UL

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    char *seen = calloc(END, 1);
    FILE *out = fopen(argv[1], "w");
    if (!seen || !out) return perror(argv[1]), 1;
    pid_t first = fork();
    if (!first) {
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        execv(argv[2], argv + 2);
        _exit(127);
    }
    int status, code = 1;
    waitpid(first, &status, 0);
    ptrace(PTRACE_SETOPTIONS, first, 0, PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL);
    ptrace(PTRACE_SINGLESTEP, first, 0, 0);
    for (pid_t one; (one = waitpid(-1, &status, __WALL)) > 0;) {
        if (!WIFSTOPPED(status)) {
            if (one == first) code = !WIFEXITED(status) || WEXITSTATUS(status);
            continue;
        }
        struct user_regs_struct now;
        if (!ptrace(PTRACE_GETREGS, one, 0, &now) && now.rip < END && !seen[now.rip]) {
            seen[now.rip] = 1;
            fprintf(out, "%llx\n", now.rip);
        }
        int signal = WSTOPSIG(status);
        ptrace(PTRACE_SINGLESTEP, one, 0, signal == SIGTRAP || signal == SIGSTOP ? 0 : signal);
    }
    return fclose(out) || code;
}
