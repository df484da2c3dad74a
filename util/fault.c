/*
 * Fault points: which are armed, and what happens there.
 *
 * Belongs to no thread: one lock, a leaf.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "util/fault.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "util/log.h"
#include "util/options.h"
#include "util/util.h"

static const struct {
    const char *name, *what;
} points[FAULT__MAX] = {
#define X(id, name_, what_) [FAULT_##id] = { name_, what_ },
    FAULT_POINTS(X)
#undef X
};

static const char *const action_names[] = { "fail", "hold", "kill", NULL };

int fault_armed;
static GMutex lock;
static GCond disarmed;
static struct {
    FaultStatus s;
    unsigned generation; /* of arming and disarming: whoever waits does so for one */
} state[FAULT__MAX];     /* lock */

const char *fault_name(FaultPoint p)
{
    return points[p].name;
}

const char *fault_what(FaultPoint p)
{
    return points[p].what;
}

const char *fault_action_name(FaultAct a)
{
    return action_names[a];
}

bool fault_from_name(const char *name, FaultPoint *ret_point)
{
    for (int i = 0; i < FAULT__MAX; i++) {
        if (!strcmp(points[i].name, name)) {
            *ret_point = i;
            return true;
        }
    }
    return false;
}

/* Lock held; until somebody says otherwise. */
static void hold(FaultPoint p)
{
    unsigned generation = state[p].generation;

    state[p].s.held++;
    while (state[p].generation == generation) {
        g_cond_wait(&disarmed, &lock);
    }
    state[p].s.held--;
}

/* Lock held. */
static bool acts(FaultStatus *s)
{
    uint64_t n = s->visits++;

    if (n < s->rule.after || (n - s->rule.after) % s->rule.every ||
        (s->rule.times && s->hits >= s->rule.times)) {
        return false;
    }
    s->hits++;
    return true;
}

bool fault_visit(FaultPoint p)
{
    FaultStatus *s = &state[p].s;
    bool failed = false;

    g_mutex_lock(&lock);
    if (s->armed && acts(s)) {
        switch (s->rule.action) {
        case FAULT_HOLD:
            hold(p);
            break;
        case FAULT_KILL:
            kill(getpid(), SIGKILL);
            break;
        default:
            failed = true;
        }
    }
    g_mutex_unlock(&lock);
    return failed;
}

static void change(FaultPoint p, const FaultRule *rule)
{
    g_mutex_lock(&lock);
    if (state[p].s.armed != (rule != NULL)) {
        __atomic_add_fetch(&fault_armed, rule ? 1 : -1, __ATOMIC_RELAXED);
    }
    state[p].s.armed = rule != NULL;
    if (rule) {
        state[p].s.rule = *rule;
        state[p].s.visits = state[p].s.hits = 0;
    }
    state[p].generation++;
    g_cond_broadcast(&disarmed);
    g_mutex_unlock(&lock);
}

bool fault_arm(FaultPoint p, const FaultRule *rule, Error **errp)
{
    if (!rule->every) {
        error_setg(errp, "fault point '%s': 'every' must be at least 1", points[p].name);
        return false;
    }
    change(p, rule);
    return true;
}

void fault_disarm(FaultPoint p)
{
    change(p, NULL);
}

void fault_status(FaultPoint p, FaultStatus *ret)
{
    g_mutex_lock(&lock);
    *ret = state[p].s;
    g_mutex_unlock(&lock);
}

bool fault_option(const char *arg, Error **errp)
{
    g_autoptr(JsonObject) opts = options_parse(arg, "name", errp);
    g_autofree char *name = NULL;
    FaultRule rule = FAULT_RULE_DEFAULT;
    int action = FAULT_FAIL;
    FaultPoint p;

    if (!opts || !options_take_str(opts, "name", &name, errp) ||
        !options_take_enum(opts, "action", action_names, &action, errp) ||
        !options_take_u64(opts, "after", UINT64_MAX, &rule.after, errp) ||
        !options_take_u64(opts, "every", UINT64_MAX, &rule.every, errp) ||
        !options_take_u64(opts, "times", UINT64_MAX, &rule.times, errp) ||
        !options_finish(opts, "-fault", errp)) {
        return false;
    }
    if (!name || !fault_from_name(name, &p)) {
        error_setg(errp, "there is no fault point '%s' (try -fault help)", name ? name : "");
        return false;
    }
    rule.action = action;
    return fault_arm(p, &rule, errp);
}

/* ---- memory ---- */

static void no_memory(size_t size, Error **errp)
{
    error_setg(errp, "there are no %zu bytes of memory for it", size);
}

void *alloc_from_wire(size_t size, Error **errp)
{
    void *p = fault_point(FAULT_ALLOC_WIRE) ? NULL : g_try_malloc0(MAX(size, 1));

    if (!p) {
        no_memory(size, errp);
    }
    return p;
}

void *realloc_from_wire(void *p, size_t size, Error **errp)
{
    void *new = fault_point(FAULT_ALLOC_WIRE) ? NULL : g_try_realloc(p, MAX(size, 1));

    if (!new) {
        no_memory(size, errp);
    }
    return new;
}
