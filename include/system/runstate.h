/*
 * The machine's life: run states, start, stop, reset, shutdown, and the main loop.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_SYSTEM_RUNSTATE_H
#define FERRY_SYSTEM_RUNSTATE_H

#include <stdbool.h>
#include <stdint.h>

#include "util/error.h"

/* Names as in QMP query-status and in the `globalstate` section. */
#define RUN_STATES(X)                    \
    X(DEBUG, "debug")                    \
    X(INMIGRATE, "inmigrate")            \
    X(INTERNAL_ERROR, "internal-error")  \
    X(IO_ERROR, "io-error")              \
    X(PAUSED, "paused")                  \
    X(POSTMIGRATE, "postmigrate")        \
    X(PRELAUNCH, "prelaunch")            \
    X(FINISH_MIGRATE, "finish-migrate")  \
    X(RESTORE_VM, "restore-vm")          \
    X(RUNNING, "running")                \
    X(SAVE_VM, "save-vm")                \
    X(SHUTDOWN, "shutdown")              \
    X(SUSPENDED, "suspended")            \
    X(WATCHDOG, "watchdog")              \
    X(GUEST_PANICKED, "guest-panicked")  \
    X(COLO, "colo")

typedef enum RunState {
#define X(id, name) RUN_STATE_##id,
    RUN_STATES(X)
#undef X
    RUN_STATE__MAX,
} RunState;

typedef enum ShutdownCause {
    SHUTDOWN_CAUSE_NONE,
    SHUTDOWN_CAUSE_HOST_ERROR,
    SHUTDOWN_CAUSE_HOST_QMP_QUIT,
    SHUTDOWN_CAUSE_HOST_QMP_SYSTEM_RESET,
    SHUTDOWN_CAUSE_HOST_SIGNAL,
    SHUTDOWN_CAUSE_HOST_UI,
    SHUTDOWN_CAUSE_GUEST_SHUTDOWN,
    SHUTDOWN_CAUSE_GUEST_RESET,
    SHUTDOWN_CAUSE_GUEST_PANIC,
    SHUTDOWN_CAUSE__MAX,
} ShutdownCause;

const char *run_state_name(RunState s);
bool run_state_from_name(const char *name, RunState *ret_state);
const char *shutdown_cause_name(ShutdownCause c);    /* "host-qmp-quit", ... */
bool shutdown_cause_by_guest(ShutdownCause c);

/* Any thread may read; changes under the machine lock, along the legal table only (asserts). */
RunState runstate_get(void);
bool runstate_is_running(void);
bool runstate_check(RunState s);
/* Running, or asleep while the machine is on (suspended): its clock goes on. */
bool runstate_is_live(void);
void runstate_set(RunState s);
bool runstate_transition_legal(RunState from, RunState to);

/*
 * Start/stop the guest.  Machine lock held (it is dropped while vCPUs are waited
 * for).  vm_stop returns when every vCPU is out of the guest, the virtual clock
 * stands still and STOP was emitted.  From a vCPU thread it only asks.
 */
void vm_start(void);
void vm_stop(RunState s);
/*
 * The guest sleeps: what vm_start() leads to then is `suspended`.  A stopped machine stays
 * one with a sleeping guest.  Machine lock held; a load sets it.
 */
void vm_set_asleep(bool asleep);
bool vm_is_asleep(void);
/* Stop if running, else only change the state: what migration does at the switch. */
void vm_stop_force_state(RunState s);
/* Run state `s` was asked for from a vCPU or device (internal-error, io-error ...). */
void vm_stop_request(RunState s);

/* -S was given / `cont` while the machine waits for a migration. */
extern bool autostart; /* machine lock */

typedef void VMStateChangeFn(void *opaque, bool running, RunState s);
typedef struct VMStateChangeEntry VMStateChangeEntry;
/* Called under the machine lock, ascending priority at start, descending at stop. */
VMStateChangeEntry *vm_state_change_add(VMStateChangeFn *fn, void *opaque, int priority);
void vm_state_change_remove(VMStateChangeEntry *e);
/*
 * Another process is about to have the guest: fn is called in vm_stop_force_state(), when the machine
 * stands still, whether or not it ran before.  One function.  Machine lock.
 */
void vm_handover_set(void (*fn)(void));

/* Ask the main loop; any thread. */
void system_reset_request(ShutdownCause cause);
void system_shutdown_request(ShutdownCause cause);
void system_powerdown_request(void);      /* ACPI power button; notifiers below */
/*
 * Sleep, S3.  A device that can wake the machine registers: `woken` is called after the
 * reset that waking is, in the main thread, before the guest runs.  Machine lock held.
 */
void system_sleep_register(void (*woken)(void *opaque), void *opaque);
bool system_can_sleep(void);
bool system_is_waking(void);              /* for reset handlers: memory keeps what it has */
void system_suspend_request(void);        /* any thread: run state suspended, event SUSPEND */
bool system_wakeup(Error **errp);         /* main thread, machine lock: running, event WAKEUP */
void system_exit_request(int status);     /* leave main loop with this exit status */
void powerdown_notifier_add(void (*fn)(void *opaque), void *opaque);

/* -no-reboot / -no-shutdown / -action. */
typedef enum { REBOOT_ACTION_RESET, REBOOT_ACTION_SHUTDOWN } RebootAction;
typedef enum { SHUTDOWN_ACTION_POWEROFF, SHUTDOWN_ACTION_PAUSE } ShutdownAction;
typedef enum {
    PANIC_ACTION_PAUSE,
    PANIC_ACTION_SHUTDOWN,
    PANIC_ACTION_EXIT_FAILURE,
    PANIC_ACTION_NONE,
} PanicAction;
/* The guest says that it crashed: panic_action; that its crash kernel takes over: an event. */
void system_guest_panicked(void);
void system_guest_crashloaded(void);
extern RebootAction reboot_action;
extern ShutdownAction shutdown_action;
extern PanicAction panic_action;

/* Reset handlers, in registration order.  Machine lock held, vCPUs stopped. */
void reset_handler_add(void (*fn)(void *opaque), void *opaque);
/* After all of those, whenever they were added: what firmware does. */
void reset_handler_add_late(void (*fn)(void *opaque), void *opaque);
void reset_handler_remove(void (*fn)(void *opaque), void *opaque);
void reset_handlers_run(void); /* the handlers only; system_reset() is what callers want */
void system_reset(ShutdownCause cause);

/*
 * Main thread: make GLib's default context drop the machine lock in poll, then
 * run until an exit is requested.  Returns the exit status.
 */
void main_loop_init(void);
int main_loop_run(void);
/* Run fn(opaque) once in the main thread under the machine lock; any thread. */
void main_loop_call(void (*fn)(void *opaque), void *opaque);

#endif
