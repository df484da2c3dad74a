/*
 * Run states, start and stop, and what becomes of reset and shutdown requests.
 * Machine lock; requests may come from any thread and are carried out by MAIN.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "system/runstate.h"

#include <string.h>

#include "monitor/monitor.h"
#include "system/clock.h"
#include "system/cpus.h"
#include "system/machine-lock.h"
#include "trace/system.h"
#include "util/log.h"
#include "util/util.h"

static RunState state = RUN_STATE_PRELAUNCH; /* atomic; written under the machine lock */
bool autostart = true;
RebootAction reboot_action = REBOOT_ACTION_RESET;
ShutdownAction shutdown_action = SHUTDOWN_ACTION_POWEROFF;
PanicAction panic_action = PANIC_ACTION_SHUTDOWN;

static const char *const names[RUN_STATE__MAX] = {
#define X(id, name) [RUN_STATE_##id] = name,
    RUN_STATES(X)
#undef X
};

#define S(id) (1u << RUN_STATE_##id)
/* States that may follow each state; staying is always allowed. */
static const unsigned legal[RUN_STATE__MAX] = {
    [RUN_STATE_PRELAUNCH] = S(RUNNING) | S(INMIGRATE) | S(FINISH_MIGRATE) | S(SUSPENDED) | S(PAUSED) |
                            S(SHUTDOWN) | S(INTERNAL_ERROR) | S(RESTORE_VM) | S(SAVE_VM),
    [RUN_STATE_INMIGRATE] = S(RUNNING) | S(PAUSED) | S(PRELAUNCH) | S(SHUTDOWN) | S(SUSPENDED) |
                            S(INTERNAL_ERROR) | S(IO_ERROR) | S(WATCHDOG) | S(GUEST_PANICKED) |
                            S(FINISH_MIGRATE) | S(POSTMIGRATE) | S(SAVE_VM) | S(DEBUG) | S(COLO) |
                            S(RESTORE_VM),
    [RUN_STATE_RUNNING] = ~S(INMIGRATE) & ~S(PRELAUNCH) & ~S(POSTMIGRATE),
    [RUN_STATE_PAUSED] = S(RUNNING) | S(FINISH_MIGRATE) | S(POSTMIGRATE) | S(PRELAUNCH) | S(SHUTDOWN) |
                         S(SUSPENDED) | S(SAVE_VM) | S(RESTORE_VM) | S(INTERNAL_ERROR) | S(COLO),
    [RUN_STATE_FINISH_MIGRATE] = S(RUNNING) | S(PAUSED) | S(POSTMIGRATE) | S(PRELAUNCH) | S(COLO) |
                                 S(INTERNAL_ERROR) | S(IO_ERROR) | S(SHUTDOWN) | S(SUSPENDED) |
                                 S(WATCHDOG) | S(GUEST_PANICKED) | S(DEBUG),
    [RUN_STATE_POSTMIGRATE] = S(RUNNING) | S(SUSPENDED) | S(FINISH_MIGRATE) | S(PRELAUNCH) |
                              S(PAUSED) | S(SHUTDOWN),
    [RUN_STATE_SAVE_VM] = S(RUNNING) | S(PAUSED) | S(SUSPENDED) | S(PRELAUNCH),
    [RUN_STATE_RESTORE_VM] = S(RUNNING) | S(PRELAUNCH) | S(PAUSED) | S(SUSPENDED),
    [RUN_STATE_SHUTDOWN] = S(PAUSED) | S(RUNNING) | S(FINISH_MIGRATE) | S(PRELAUNCH) | S(POSTMIGRATE),
    [RUN_STATE_INTERNAL_ERROR] = S(PAUSED) | S(FINISH_MIGRATE) | S(PRELAUNCH) | S(POSTMIGRATE) |
                                 S(SHUTDOWN),
    [RUN_STATE_IO_ERROR] = S(RUNNING) | S(PAUSED) | S(FINISH_MIGRATE) | S(PRELAUNCH) | S(SHUTDOWN),
    [RUN_STATE_SUSPENDED] = S(RUNNING) | S(FINISH_MIGRATE) | S(PRELAUNCH) | S(PAUSED) | S(SAVE_VM) |
                            S(SHUTDOWN),
    [RUN_STATE_WATCHDOG] = S(RUNNING) | S(PAUSED) | S(FINISH_MIGRATE) | S(PRELAUNCH) | S(SHUTDOWN),
    [RUN_STATE_GUEST_PANICKED] = S(RUNNING) | S(PAUSED) | S(FINISH_MIGRATE) | S(PRELAUNCH) | S(SHUTDOWN),
    [RUN_STATE_DEBUG] = S(RUNNING) | S(PAUSED) | S(FINISH_MIGRATE) | S(PRELAUNCH) | S(SUSPENDED),
    [RUN_STATE_COLO] = S(RUNNING) | S(PRELAUNCH) | S(SHUTDOWN),
};

static const char *const causes[SHUTDOWN_CAUSE__MAX] = {
    [SHUTDOWN_CAUSE_NONE] = "none",
    [SHUTDOWN_CAUSE_HOST_ERROR] = "host-error",
    [SHUTDOWN_CAUSE_HOST_QMP_QUIT] = "host-qmp-quit",
    [SHUTDOWN_CAUSE_HOST_QMP_SYSTEM_RESET] = "host-qmp-system-reset",
    [SHUTDOWN_CAUSE_HOST_SIGNAL] = "host-signal",
    [SHUTDOWN_CAUSE_HOST_UI] = "host-ui",
    [SHUTDOWN_CAUSE_GUEST_SHUTDOWN] = "guest-shutdown",
    [SHUTDOWN_CAUSE_GUEST_RESET] = "guest-reset",
    [SHUTDOWN_CAUSE_GUEST_PANIC] = "guest-panic",
};

const char *run_state_name(RunState s)
{
    return names[s];
}

bool run_state_from_name(const char *name, RunState *ret_state)
{
    for (int i = 0; i < RUN_STATE__MAX; i++) {
        if (strcmp(names[i], name) == 0) {
            *ret_state = i;
            return true;
        }
    }
    return false;
}

const char *shutdown_cause_name(ShutdownCause c)
{
    return causes[c];
}

bool shutdown_cause_by_guest(ShutdownCause c)
{
    return c >= SHUTDOWN_CAUSE_GUEST_SHUTDOWN;
}

RunState runstate_get(void)
{
    return __atomic_load_n(&state, __ATOMIC_ACQUIRE);
}

bool runstate_check(RunState s)
{
    return runstate_get() == s;
}

bool runstate_is_running(void)
{
    return runstate_check(RUN_STATE_RUNNING);
}

bool runstate_is_live(void)
{
    return runstate_is_running() || runstate_check(RUN_STATE_SUSPENDED);
}

bool runstate_transition_legal(RunState from, RunState to)
{
    return from == to || (legal[from] & (1u << to));
}

void runstate_set(RunState s)
{
    g_assert(machine_locked());
    if (!runstate_transition_legal(state, s)) {
        error_report("run state: no way from %s to %s", names[state], names[s]);
        g_assert_not_reached();
    }
    trace_runstate_set(names[state], names[s]);
    __atomic_store_n(&state, s, __ATOMIC_RELEASE);
}

struct VMStateChangeEntry {
    VMStateChangeFn *fn;
    void *opaque;
    int priority;
};
static GPtrArray *change_entries; /* ascending priority */

VMStateChangeEntry *vm_state_change_add(VMStateChangeFn *fn, void *opaque, int priority)
{
    VMStateChangeEntry *e = g_new(VMStateChangeEntry, 1);
    guint i = 0;

    *e = (VMStateChangeEntry){ fn, opaque, priority };
    if (!change_entries) {
        change_entries = g_ptr_array_new();
    }
    while (i < change_entries->len &&
           ((VMStateChangeEntry *)change_entries->pdata[i])->priority <= priority) {
        i++;
    }
    g_ptr_array_insert(change_entries, i, e);
    return e;
}

void vm_state_change_remove(VMStateChangeEntry *e)
{
    if (g_ptr_array_remove(change_entries, e)) {
        g_free(e);
    }
}

static void notify_change(bool now_running, RunState s)
{
    guint n = change_entries ? change_entries->len : 0;

    for (guint i = 0; i < n; i++) {
        VMStateChangeEntry *e = change_entries->pdata[now_running ? i : n - 1 - i];
        e->fn(e->opaque, now_running, s);
    }
}

/*
 * The guest sleeps (S3), whether the machine is stopped on top of that or not.  Machine
 * lock.
 */
static bool asleep;

void vm_set_asleep(bool sleeps)
{
    g_assert(machine_locked());
    asleep = sleeps;
}

bool vm_is_asleep(void)
{
    return asleep;
}

/* A guest that sleeps: its devices and its clock go on, its CPUs do not. */
void vm_start(void)
{
    RunState s = asleep ? RUN_STATE_SUSPENDED : RUN_STATE_RUNNING;

    if (runstate_is_live()) {
        return;
    }
    runstate_set(s);
    qmp_event_emit("RESUME", NULL);
    notify_change(true, s);
    virtual_clock_start();
    if (!asleep) {
        cpu_resume_all();
    }
}

void vm_stop(RunState s)
{
    if (cpu_current()) {
        vm_stop_request(s);
        return;
    }
    if (!runstate_is_live()) {
        return;
    }
    cpu_pause_all();
    /* The lock was dropped while waiting: somebody else may have stopped it. */
    if (!runstate_is_live()) {
        return;
    }
    runstate_set(s);
    virtual_clock_stop();
    notify_change(false, s);
    qmp_event_emit("STOP", NULL);
}

static void (*handover)(void); /* machine lock */

void vm_handover_set(void (*fn)(void))
{
    handover = fn;
}

void vm_stop_force_state(RunState s)
{
    if (runstate_is_live()) {
        vm_stop(s);
    } else {
        runstate_set(s);
    }
    if (handover) {
        handover();
    }
}

static void do_stop_request(void *opaque)
{
    RunState s = GPOINTER_TO_INT(opaque);

    if (runstate_is_running()) {
        vm_stop(s);
    }
}

void vm_stop_request(RunState s)
{
    main_loop_call(do_stop_request, GINT_TO_POINTER(s));
    if (cpu_current()) {
        cpu_current()->stop = true;
        cpu_kick(cpu_current());
    }
}

/* Data of the SHUTDOWN and RESET events. */
static JsonObject *cause_object(ShutdownCause c)
{
    JsonObject *o = json_object_new();

    json_object_set_boolean_member(o, "guest", shutdown_cause_by_guest(c));
    json_object_set_string_member(o, "reason", shutdown_cause_name(c));
    return o;
}

static int pending_reset, pending_shutdown, pending_powerdown; /* atomic: ShutdownCause or 0 */

void system_reset(ShutdownCause cause)
{
    reset_handlers_run();
    cpu_put_all_reset();
    if (cause != SHUTDOWN_CAUSE_NONE) {
        qmp_event_emit("RESET", cause_object(cause));
    }
}

static void do_reset(void *unused)
{
    ShutdownCause cause = g_atomic_int_exchange(&pending_reset, 0);
    bool was_running = runstate_is_running();

    if (!cause || runstate_check(RUN_STATE_INMIGRATE)) {
        return;
    }
    cpu_pause_all();
    cpu_synchronize_all();
    asleep = false;
    system_reset(cause);
    if (runstate_check(RUN_STATE_SUSPENDED)) {
        runstate_set(RUN_STATE_RUNNING); /* a reset wakes whoever sleeps */
        was_running = true;
    }
    if (was_running) {
        cpu_resume_all();
    } else if (!runstate_check(RUN_STATE_FINISH_MIGRATE) && !runstate_check(RUN_STATE_PRELAUNCH)) {
        /* A reset machine is as one that was never started; whatever stopped it is over. */
        runstate_set(RUN_STATE_PRELAUNCH);
    }
}

void system_reset_request(ShutdownCause cause)
{
    if (reboot_action == REBOOT_ACTION_SHUTDOWN && cause == SHUTDOWN_CAUSE_GUEST_RESET) {
        system_shutdown_request(cause);
        return;
    }
    g_atomic_int_set(&pending_reset, cause);
    main_loop_call(do_reset, NULL);
    if (cpu_current()) {
        cpu_kick(cpu_current());
    }
}

static void do_shutdown(void *unused)
{
    ShutdownCause cause = g_atomic_int_exchange(&pending_shutdown, 0);

    if (!cause) {
        return;
    }
    qmp_event_emit("SHUTDOWN", cause_object(cause));
    if (shutdown_action == SHUTDOWN_ACTION_PAUSE && shutdown_cause_by_guest(cause)) {
        vm_stop(RUN_STATE_SHUTDOWN);
        return;
    }
    bool failed = cause == SHUTDOWN_CAUSE_HOST_ERROR ||
                  (cause == SHUTDOWN_CAUSE_GUEST_PANIC &&
                   panic_action == PANIC_ACTION_EXIT_FAILURE);
    /* main() stops the machine on its way out, in an order that cannot block. */
    system_exit_request(failed ? 1 : 0);
}

void system_shutdown_request(ShutdownCause cause)
{
    g_atomic_int_set(&pending_shutdown, cause);
    main_loop_call(do_shutdown, NULL);
    if (cpu_current()) {
        cpu_kick(cpu_current());
    }
}

static void emit_crash(const char *event, const char *action)
{
    JsonObject *o = json_object_new();

    json_object_set_string_member(o, "action", action);
    qmp_event_emit(event, o);
}

void system_guest_panicked(void)
{
    bool pause = panic_action == PANIC_ACTION_PAUSE ||
                 (panic_action == PANIC_ACTION_SHUTDOWN && shutdown_action == SHUTDOWN_ACTION_PAUSE);

    if (panic_action == PANIC_ACTION_NONE) {
        emit_crash("GUEST_PANICKED", "run");
        return;
    }
    emit_crash("GUEST_PANICKED", pause ? "pause" : "poweroff");
    vm_stop_request(RUN_STATE_GUEST_PANICKED);
    if (!pause) {
        system_shutdown_request(SHUTDOWN_CAUSE_GUEST_PANIC);
    }
}

void system_guest_crashloaded(void)
{
    emit_crash("GUEST_CRASHLOADED", "run");
}

/* ---- sleep (S3) ---- */

static bool can_sleep, waking;            /* machine lock */
static void (*wakeup_notifier)(void *opaque);
static void *wakeup_opaque;

void system_sleep_register(void (*woken)(void *opaque), void *opaque)
{
    can_sleep = true;
    wakeup_notifier = woken;
    wakeup_opaque = opaque;
}

bool system_can_sleep(void)
{
    return can_sleep;
}

bool system_is_waking(void)
{
    return waking;
}

static void do_suspend(void *unused)
{
    if (asleep) {
        return;
    }
    asleep = true;
    if (!runstate_is_running()) {
        return; /* stopped in the meantime: it sleeps when it is started */
    }
    cpu_pause_all();
    if (runstate_is_running()) {
        runstate_set(RUN_STATE_SUSPENDED);
        qmp_event_emit("SUSPEND", NULL);
    }
}

void system_suspend_request(void)
{
    main_loop_call(do_suspend, NULL);
    if (cpu_current()) {
        cpu_current()->stop = true;
        cpu_kick(cpu_current());
    }
}

/* Memory stays; everything else is as after a reset. */
static void do_wakeup(void)
{
    cpu_pause_all();
    cpu_synchronize_all();
    waking = true;
    system_reset(SHUTDOWN_CAUSE_NONE);
    waking = false;
    asleep = false;
    wakeup_notifier(wakeup_opaque);
    runstate_set(RUN_STATE_RUNNING);
    qmp_event_emit("WAKEUP", NULL);
    cpu_resume_all();
}

bool system_wakeup(Error **errp)
{
    if (!runstate_check(RUN_STATE_SUSPENDED)) {
        error_setg(errp, "Unable to wake up: guest is not in suspended state");
        return false;
    }
    if (!can_sleep) {
        error_setg(errp, "wake-up from suspend is not supported by this machine");
        return false;
    }
    do_wakeup();
    return true;
}

typedef struct PowerdownNotifier {
    void (*fn)(void *opaque);
    void *opaque;
} PowerdownNotifier;
static GArray *powerdown_notifiers;

void powerdown_notifier_add(void (*fn)(void *opaque), void *opaque)
{
    PowerdownNotifier n = { fn, opaque };

    if (!powerdown_notifiers) {
        powerdown_notifiers = g_array_new(false, false, sizeof(n));
    }
    g_array_append_val(powerdown_notifiers, n);
}

static void do_powerdown(void *unused)
{
    if (!g_atomic_int_exchange(&pending_powerdown, 0)) {
        return;
    }
    qmp_event_emit("POWERDOWN", NULL);
    if (runstate_check(RUN_STATE_SUSPENDED) && can_sleep) {
        do_wakeup(); /* the button wakes, and says that it was the button */
        return;
    }
    for (guint i = 0; powerdown_notifiers && i < powerdown_notifiers->len; i++) {
        PowerdownNotifier *n = &g_array_index(powerdown_notifiers, PowerdownNotifier, i);
        n->fn(n->opaque);
    }
}

void system_powerdown_request(void)
{
    g_atomic_int_set(&pending_powerdown, 1);
    main_loop_call(do_powerdown, NULL);
}
