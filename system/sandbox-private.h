/*
 * Private to the sandbox: its options, and the filters of threads.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_SYSTEM_SANDBOX_PRIVATE_H
#define FERRY_SYSTEM_SANDBOX_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include "util/error.h"

typedef enum Policy { POLICY_ALLOW, POLICY_DENY, POLICY_CHILDREN } Policy;

typedef struct SandboxConfig {
    bool obsolete_allowed;
    Policy elevate;
    bool deny_spawn, deny_resource;
    bool new_user; /* privileges are given up after threads have started: every thread does it */
    uint32_t uid, gid;
} SandboxConfig;

/*
 * Make the filter of every role, and have each thread that starts from now on take the one of
 * its role.  Main thread, before there are others.
 */
bool sandbox_threads_prepare(const SandboxConfig *s, Error **errp);
/*
 * spawn=allow: threads that may not start programs have this done by one that does nothing else
 * and has the main thread's filter.  What it starts has that filter, too.
 */
void sandbox_spawner_start(void (*install)(void));
/* A forbidden call is to end the process with its name on stderr: the handler for SIGSYS. */
void sandbox_watch(void);

#endif
