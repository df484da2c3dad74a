/*
 * Fault points: named places where a failure can be ordered, so that what happens after it can
 * be tested.  One row a point.  While none is armed a point costs one load and one branch.
 *
 * Any thread; arming has a lock of its own, a leaf.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_UTIL_FAULT_H
#define FERRY_UTIL_FAULT_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/error.h"

/*
 * X(id, name, what fails).  In the first part something of the host fails; the points of the second
 * are moments of a migration, and what fails there is its connection.
 */
#define FAULT_POINTS(X)                                                                           \
    X(ALLOC_WIRE, "alloc-wire", "memory whose size came over the wire cannot be had")             \
    X(NEW_THREAD, "thread", "a thread of a migration cannot be made")                                 \
    X(CHANNEL_WRITE, "channel-write", "writing to a migration channel: the connection is gone")   \
    X(CHANNEL_SHORT, "channel-short", "a migration channel takes one byte of what is written")    \
    X(CHANNEL_NO_SPACE, "channel-no-space", "writing to a migration channel: the disk is full")   \
    X(UFFD_COPY, "uffd-copy", "a page cannot be put in its place (UFFDIO_COPY)")                  \
    X(DEVICE_SAVE, "device-save", "a device's state cannot be saved")                             \
    X(DEVICE_LOAD, "device-load", "a device's state cannot be loaded")                            \
    X(CARRY_WRITE, "carry-write", "a file with the rest of a postcopy: the disk is full")         \
    X(CARRY_READ, "carry-read", "a file with the rest of a postcopy: a chunk cannot be read")     \
    X(DST_PONG, "dst-pong", "the destination does not answer a PING")                             \
    X(SRC_SETUP, "src-setup", "source: before it connects")                                       \
    X(SRC_DEVICE, "src-device", "source: the guest stands still, no device is sent yet")          \
    X(SRC_LOADED, "src-loaded", "source: the destination has all but the end of the stream")      \
    X(SRC_LAST_PAGE, "src-last-page", "source: postcopy's last page is sent")                     \
    X(SRC_RECOVER_SETUP, "src-recover-setup", "source: before it connects for a recovery")        \
    X(SRC_RESUME, "src-resume", "source: before POSTCOPY_RESUME")                                 \
    X(DST_HEADER, "dst-header", "destination: before it reads the stream's header")               \
    X(DST_EOF, "dst-eof", "destination: all is read, the guest does not run yet")                 \
    X(DST_LISTEN, "dst-listen", "destination: before LISTEN")                                     \
    X(DST_PROMISE, "dst-promise", "destination: devices loaded, before it says so")               \
    X(DST_RUN, "dst-run", "destination: before RUN, and after it has said that it will")          \
    X(DST_SHUT, "dst-shut", "destination: before SHUT")                                           \
    X(DST_RESUME_ACK, "dst-resume-ack", "destination: before RESUME_ACK")

typedef enum FaultPoint {
#define X(id, name, what) FAULT_##id,
    FAULT_POINTS(X)
#undef X
    FAULT__MAX,
} FaultPoint;

typedef enum FaultAct {
    FAULT_FAIL, /* what the point is about fails */
    FAULT_HOLD, /* the thread waits there until the point is disarmed or armed again */
    FAULT_KILL, /* the process ends at once, as by kill -9 */
    FAULT_ACT__MAX,
} FaultAct;

/* When an armed point acts. */
typedef struct FaultRule {
    FaultAct action;
    uint64_t after; /* visits that nothing happens to */
    uint64_t every; /* then each visit of this number; at least 1 */
    uint64_t times; /* so often altogether; 0: no limit */
} FaultRule;
#define FAULT_RULE_DEFAULT { .action = FAULT_FAIL, .every = 1, .times = 1 }

typedef struct FaultStatus {
    bool armed;
    FaultRule rule;
    uint64_t visits, hits; /* since it was armed; hits: how often it acted */
    unsigned held;         /* threads that wait there */
} FaultStatus;

extern int fault_armed; /* how many points are; atomic */
bool fault_visit(FaultPoint p);

/* Does the point fail this time?  (It may not return at once, or not at all: FAULT_HOLD, FAULT_KILL.) */
static inline bool fault_point(FaultPoint p)
{
    return G_UNLIKELY(__atomic_load_n(&fault_armed, __ATOMIC_RELAXED)) && fault_visit(p);
}

const char *fault_name(FaultPoint p);
const char *fault_what(FaultPoint p);
const char *fault_action_name(FaultAct a);
bool fault_from_name(const char *name, FaultPoint *ret_point);
/* Arm it anew; false: the rule is none. */
bool fault_arm(FaultPoint p, const FaultRule *rule, Error **errp);
/* Whoever waits there goes on. */
void fault_disarm(FaultPoint p);
void fault_status(FaultPoint p, FaultStatus *ret);
/* "NAME[,action=fail|hold|kill][,after=N][,every=N][,times=N]", armed. */
bool fault_option(const char *arg, Error **errp);

/*
 * size bytes of zeros for something whose size the peer decides, g_free(); NULL with errp set:
 * there are none.  A size of 0 gives memory too.
 */
void *alloc_from_wire(size_t size, Error **errp);
/* The same for more or less of what p holds; p stays as it is on failure. */
void *realloc_from_wire(void *p, size_t size, Error **errp);

#endif
