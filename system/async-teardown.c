/*
 * -run-with async-teardown=on: a second process shares the address space and outlives the
 * first, so that the first ends at once and the memory of a large guest is given back
 * afterwards.
 *
 * Main thread, before there are others; helper() is the second process.  That one has no
 * thread of its own in the C library's eyes: it makes system calls that do not fail (errno is
 * the main thread's) and nothing else.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "system/async-teardown.h"

#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "util/util.h"

enum { STACK_SIZE = 64 * 1024 };

static pid_t helper_pid; /* 0: none */
static pid_t owner_pid;
static char helper_name[16]; /* as the kernel shows it */
static void *stack;

/* Every signal is blocked; SIGHUP is the word that the first process is gone. */
static int helper(void *opaque)
{
    static sigset_t gone;
    static int signo;

    prctl(PR_SET_NAME, helper_name);
    prctl(PR_SET_PDEATHSIG, SIGHUP);
    syscall(SYS_close_range, 0U, ~0U, 0U);
    sigemptyset(&gone);
    sigaddset(&gone, SIGHUP);
    while (getppid() == owner_pid) {
        sigwait(&gone, &signo);
    }
    _exit(0);
}

bool async_teardown_start(Error **errp)
{
    sigset_t all, old;

    if (!stack) {
        stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
        if (stack == MAP_FAILED) {
            stack = NULL;
            error_setg_errno(errp, errno, "async-teardown: no memory for a stack");
            return false;
        }
    }
    owner_pid = getpid();
    snprintf(helper_name, sizeof(helper_name), "cleanup/%d", (int)owner_pid);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    helper_pid = clone(helper, (char *)stack + STACK_SIZE, CLONE_VM, NULL);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (helper_pid < 0) {
        helper_pid = 0;
        error_setg_errno(errp, errno, "async-teardown: cannot start the second process");
        return false;
    }
    return true;
}

bool async_teardown_stop(void)
{
    if (!helper_pid) {
        return false;
    }
    kill(helper_pid, SIGKILL);
    while (waitpid(helper_pid, NULL, __WALL) < 0 && errno == EINTR) {
    }
    helper_pid = 0;
    return true;
}
