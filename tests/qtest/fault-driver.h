/*
 * Two ends of a migration over a relay: brought into a state of the fault matrix, struck by a fault, and
 * checked for what must hold.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_TESTS_FAULT_DRIVER_H
#define FERRY_TESTS_FAULT_DRIVER_H

#include "fault-matrix.h"
#include "migration-helpers.h"
#include "relay.h"

#define X(id, ...) MATRIX_##id,
typedef enum MatrixState { MATRIX_STATES(X) } MatrixState;
typedef enum MatrixFault { MATRIX_FAULTS(X) } MatrixFault;
typedef enum MatrixOutcome { MATRIX_OUTCOMES(X) } MatrixOutcome;
#undef X

/* What of a process must not grow. */
typedef struct Footprint {
    unsigned fds, threads, maps;
    uint64_t rss_kib;
} Footprint;

typedef struct Ends {
    QTestState *from, *to;       /* NULL: killed */
    GuestVm *guest_from, *guest_to; /* with a running guest; else NULL, and machines of memory only */
    const char *accel;
    Relay *relay;
    char *near, *far, *file;     /* paths */
    bool with_file;              /* migrates into `file` */
    const char *held_from, *held_to; /* fault points that hold a thread; NULL: none */
    bool stalled_back;           /* the relay keeps what comes back */
    bool postcopy_next;          /* what goes on next is a postcopy */
    Footprint before;            /* of the source */
} Ends;

/* accel NULL: no guest.  with_file: there is no destination. */
Ends *ends_new(const char *accel, bool with_file);
void ends_free(Ends *e);
void ends_reach(Ends *e, MatrixState state);
/* The fault, and then whatever was held goes on. */
void ends_strike(Ends *e, MatrixState state, MatrixFault fault);
void ends_expect(Ends *e, MatrixOutcome outcome);

/* Arm a point; more: further members of the arguments, "" none. */
void ends_arm(QTestState *s, const char *point, const char *action, const char *more);
void ends_wait_hit(QTestState *s, const char *point); /* it has acted */
void ends_start(Ends *e);        /* migrate; may fail */
void ends_set_timeout(Ends *e, int ms);
void ends_wait(QTestState *s, const char *status);
void ends_recover(Ends *e);      /* both commands */
void ends_carry(Ends *e);        /* the rest to the destination, by a file */
void ends_let_go(Ends *e);       /* no limit of bandwidth, nothing held */

#endif
