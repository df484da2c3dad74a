/*
 * Migration states: the names of QMP, what is true in each, and the table of legal
 * transitions of the source and of the destination.
 *
 * A MigStateMachine may be read and advanced by any thread; it has its own lock,
 * which is a leaf.  docs/developer/migration-states.md is made from the tables here
 * by scripts/states-doc.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_MIGRATION_STATE_H
#define FERRY_MIGRATION_STATE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* What is true in a state. */
enum {
    MIG_ATTR_RUNNING = 1 << 0,    /* a migration is under way: no second one, settings frozen */
    MIG_ATTR_POSTCOPY = 1 << 1,   /* the destination owns (or is taking) the guest */
    MIG_ATTR_CANCEL = 1 << 2,     /* migrate_cancel is possible */
    MIG_ATTR_RAM_INFO = 1 << 3,   /* query-migrate shows ram, times, remaining */
    MIG_ATTR_ENDED = 1 << 4,      /* over, whichever way */
    MIG_ATTR_UNUSED = 1 << 5,     /* a name of the protocol that Ferry never enters */
};

/* X(id, QMP name, attributes), in the order of the QMP enum. */
#define MIG_STATES(X)                                                                         \
    X(NONE, "none", 0)                                                                        \
    X(SETUP, "setup", MIG_ATTR_RUNNING | MIG_ATTR_CANCEL)                                     \
    X(CANCELLING, "cancelling", MIG_ATTR_RUNNING | MIG_ATTR_RAM_INFO)                         \
    X(CANCELLED, "cancelled", MIG_ATTR_ENDED)                                                 \
    X(ACTIVE, "active", MIG_ATTR_RUNNING | MIG_ATTR_CANCEL | MIG_ATTR_RAM_INFO)               \
    X(POSTCOPY_DEVICE, "postcopy-device",                                                     \
      MIG_ATTR_RUNNING | MIG_ATTR_POSTCOPY | MIG_ATTR_RAM_INFO)                               \
    X(POSTCOPY_ACTIVE, "postcopy-active",                                                     \
      MIG_ATTR_RUNNING | MIG_ATTR_POSTCOPY | MIG_ATTR_RAM_INFO)                               \
    X(POSTCOPY_PAUSED, "postcopy-paused",                                                     \
      MIG_ATTR_RUNNING | MIG_ATTR_POSTCOPY | MIG_ATTR_RAM_INFO)                               \
    X(POSTCOPY_RECOVER_SETUP, "postcopy-recover-setup",                                       \
      MIG_ATTR_RUNNING | MIG_ATTR_POSTCOPY | MIG_ATTR_RAM_INFO)                               \
    X(POSTCOPY_RECOVER, "postcopy-recover",                                                   \
      MIG_ATTR_RUNNING | MIG_ATTR_POSTCOPY | MIG_ATTR_RAM_INFO)                               \
    X(COMPLETED, "completed", MIG_ATTR_ENDED | MIG_ATTR_RAM_INFO)                             \
    X(FAILING, "failing", MIG_ATTR_RUNNING | MIG_ATTR_RAM_INFO)                               \
    X(FAILED, "failed", MIG_ATTR_ENDED)                                                       \
    X(COLO, "colo", MIG_ATTR_RUNNING | MIG_ATTR_UNUSED)                                       \
    X(PRE_SWITCHOVER, "pre-switchover",                                                       \
      MIG_ATTR_RUNNING | MIG_ATTR_CANCEL | MIG_ATTR_RAM_INFO)                                 \
    X(DEVICE, "device", MIG_ATTR_RUNNING | MIG_ATTR_CANCEL | MIG_ATTR_RAM_INFO)               \
    X(WAIT_UNPLUG, "wait-unplug", MIG_ATTR_RUNNING | MIG_ATTR_UNUSED)

typedef enum MigState {
#define X(id, name, attrs) MIG_STATE_##id,
    MIG_STATES(X)
#undef X
    MIG_STATE__MAX,
} MigState;

typedef enum MigSide { MIG_SRC, MIG_DST, MIG_SIDE__MAX } MigSide;

/* X(from, to, side, thread that does it, why).  A pair that is not here asserts. */
#define MIG_TRANSITIONS(X)                                                                    \
    X(NONE, SETUP, SRC, "main", "migrate accepted")                                           \
    X(COMPLETED, SETUP, SRC, "main", "migrate accepted again")                                \
    X(FAILED, SETUP, SRC, "main", "migrate accepted again")                                   \
    X(CANCELLED, SETUP, SRC, "main", "migrate accepted again")                                \
    X(SETUP, ACTIVE, SRC, "migration", "connected and the setup sections are sent")           \
    X(SETUP, CANCELLING, SRC, "main", "migrate_cancel")                                       \
    X(SETUP, FAILING, SRC, "migration", "no connection, or set-up failed")                    \
    X(ACTIVE, COMPLETED, SRC, "migration", "background-snapshot: everything is written")       \
    X(ACTIVE, DEVICE, SRC, "migration", "the guest stands still for the switch")              \
    X(ACTIVE, PRE_SWITCHOVER, SRC, "migration", "the same, with pause-before-switchover")     \
    X(ACTIVE, CANCELLING, SRC, "main", "migrate_cancel")                                      \
    X(ACTIVE, FAILING, SRC, "migration", "error while RAM is sent")                           \
    X(PRE_SWITCHOVER, DEVICE, SRC, "main or migration", "migrate-continue")                   \
    X(PRE_SWITCHOVER, CANCELLING, SRC, "main", "migrate_cancel")                              \
    X(PRE_SWITCHOVER, FAILING, SRC, "migration", "error while waiting")                       \
    X(DEVICE, COMPLETED, SRC, "migration", "everything is sent, the destination said SHUT 0") \
    X(DEVICE, POSTCOPY_DEVICE, SRC, "migration", "the package is on its way")                 \
    X(DEVICE, POSTCOPY_ACTIVE, SRC, "migration", "the same, without a return path")           \
    X(DEVICE, CANCELLING, SRC, "main", "migrate_cancel")                                      \
    X(DEVICE, FAILING, SRC, "migration", "error while devices are saved")                     \
    X(POSTCOPY_DEVICE, POSTCOPY_ACTIVE, SRC, "migration or return-path", "PONG 0x42")         \
    X(POSTCOPY_DEVICE, FAILING, SRC, "migration", "the package is not whole, or SHUT 1")      \
    X(POSTCOPY_DEVICE, POSTCOPY_PAUSED, SRC, "migration", "nobody knows whether it runs there") \
    X(POSTCOPY_ACTIVE, COMPLETED, SRC, "migration", "every page is sent, SHUT 0")             \
    X(POSTCOPY_ACTIVE, POSTCOPY_PAUSED, SRC, "migration", "the channel broke")                \
    X(POSTCOPY_PAUSED, POSTCOPY_RECOVER_SETUP, SRC, "main", "migrate resume=true")            \
    X(POSTCOPY_PAUSED, CANCELLING, SRC, "main", "migrate_cancel: it never ran there")         \
    X(POSTCOPY_RECOVER_SETUP, POSTCOPY_RECOVER, SRC, "migration", "connected again")          \
    X(POSTCOPY_RECOVER_SETUP, POSTCOPY_PAUSED, SRC, "migration",                              \
      "could not connect; or the address is a file, and it is written or could not be")       \
    X(POSTCOPY_PAUSED, COMPLETED, SRC, "migration", "x-migrate-release")                      \
    X(POSTCOPY_RECOVER, POSTCOPY_ACTIVE, SRC, "migration", "RESUME_ACK")                      \
    X(POSTCOPY_RECOVER, POSTCOPY_PAUSED, SRC, "migration", "the new channel broke too")       \
    X(CANCELLING, CANCELLED, SRC, "main or migration", "threads ended, guest as before")      \
    X(FAILING, FAILED, SRC, "main or migration", "threads ended, guest as before")            \
    X(NONE, SETUP, DST, "main", "-incoming URI or migrate-incoming accepted")                 \
    X(SETUP, ACTIVE, DST, "main or incoming", "connected, the load starts")                   \
    X(SETUP, FAILED, DST, "main", "nothing to load from")                                     \
    X(ACTIVE, COMPLETED, DST, "main", "loaded, guest started or left paused")                 \
    X(ACTIVE, POSTCOPY_DEVICE, DST, "incoming", "LISTEN")                                     \
    X(ACTIVE, POSTCOPY_ACTIVE, DST, "incoming", "LISTEN without a return path")               \
    X(ACTIVE, FAILED, DST, "incoming or main", "bad or cut stream")                           \
    X(POSTCOPY_DEVICE, POSTCOPY_ACTIVE, DST, "incoming", "RUN")                               \
    X(POSTCOPY_DEVICE, FAILED, DST, "incoming or main", "bad or cut stream")                  \
    X(POSTCOPY_ACTIVE, COMPLETED, DST, "listen or main", "every page has come")               \
    X(POSTCOPY_ACTIVE, POSTCOPY_PAUSED, DST, "listen", "the channel broke, or a file lacked pages") \
    X(POSTCOPY_ACTIVE, FAILED, DST, "listen or main", "error that a new channel cannot mend") \
    X(POSTCOPY_PAUSED, POSTCOPY_RECOVER, DST, "listen", "a new main channel came, or a file") \
    X(POSTCOPY_PAUSED, FAILED, DST, "main", "given up")                                       \
    X(POSTCOPY_RECOVER, POSTCOPY_ACTIVE, DST, "listen", "POSTCOPY_RESUME, or pages of a file") \
    X(POSTCOPY_RECOVER, POSTCOPY_PAUSED, DST, "listen", "the new channel broke too")          \
    X(POSTCOPY_RECOVER, FAILED, DST, "listen or main", "error that a new channel cannot mend")

typedef struct MigTransition {
    MigState from, to;
    MigSide side;
    const char *thread, *why;
} MigTransition;
/* The row, or NULL: not legal. */
const MigTransition *mig_transition_find(MigSide side, MigState from, MigState to);

const char *mig_state_name(MigState s);                         /* "postcopy-active" */
bool mig_state_from_name(const char *name, MigState *ret_state);
unsigned mig_state_attrs(MigState s);
static inline bool mig_state_is_running(MigState s)
{
    return mig_state_attrs(s) & MIG_ATTR_RUNNING;
}
static inline bool mig_state_is_postcopy(MigState s)
{
    return mig_state_attrs(s) & MIG_ATTR_POSTCOPY;
}
static inline bool mig_state_can_cancel(MigState s)
{
    return mig_state_attrs(s) & MIG_ATTR_CANCEL;
}
static inline bool mig_state_has_ram_info(MigState s)
{
    return mig_state_attrs(s) & MIG_ATTR_RAM_INFO;
}
static inline bool mig_state_is_ended(MigState s)
{
    return mig_state_attrs(s) & MIG_ATTR_ENDED;
}

/*
 * Called with the machine's lock held, in the thread that advances, once a change:
 * it must not block and not call back into the machine.
 */
typedef void MigStateNotify(MigSide side, MigState from, MigState to, void *opaque);

typedef struct MigStateMachine {
    MigSide side;            /* fixed */
    MigStateNotify *notify;  /* fixed */
    void *opaque;            /* fixed */
    GMutex lock;
    GCond changed;           /* any change of state */
    int state;               /* MigState; written under lock, read atomically */
    bool kicked;             /* lock: a kick that nobody has waited for yet */
} MigStateMachine;

/* notify: normally mig_state_emit_event, NULL in tests. */
void mig_state_init(MigStateMachine *m, MigSide side, MigStateNotify *notify, void *opaque);
void mig_state_clear(MigStateMachine *m);
MigState mig_state_get(const MigStateMachine *m);

/*
 * Move from -> to.  The pair must be in the table (asserts).  False, and nothing
 * happens, when the machine is no longer in `from`: another thread moved it first
 * (cancel, an error) and the caller has to look at what it is now.
 */
bool state_advance(MigStateMachine *m, MigState from, MigState to) G_GNUC_WARN_UNUSED_RESULT;
/*
 * Move to `to` from whatever state it is in, if that is legal (cancel, failure):
 * returns false when it is not.  *ret_from (may be NULL) is the state it was in.
 */
bool state_advance_any(MigStateMachine *m, MigState to, MigState *ret_from);
/* Destination only, for the process's next incoming migration after a refused one; tests. */
void mig_state_reset(MigStateMachine *m);

/*
 * Wait until the state is not `current` any more, at most until the monotonic time
 * (G_MAXINT64: no limit).  Returns the state.
 */
MigState mig_state_wait(MigStateMachine *m, MigState current, int64_t until_us);
/*
 * Wake the waiter, or make the next wait return at once, without a change: so that it looks
 * at its other conditions.
 */
void mig_state_kick(MigStateMachine *m);

/* MigStateNotify: emits the QMP event MIGRATION when the capability `events` is on. */
void mig_state_emit_event(MigSide side, MigState from, MigState to, void *opaque);

#endif
