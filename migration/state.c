/*
 * Migration states: the tables, and moving along them.
 *
 * Belongs to no thread: a service with its own lock, which is a leaf.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "migration/state.h"

#include <string.h>

#include "trace/migration.h"
#include "util/util.h"

static const struct {
    const char *name;
    unsigned attrs;
} states[MIG_STATE__MAX] = {
#define X(id, name_, attrs_) [MIG_STATE_##id] = { name_, attrs_ },
    MIG_STATES(X)
#undef X
};

static const MigTransition transitions[] = {
#define X(from_, to_, side_, thread_, why_) \
    { MIG_STATE_##from_, MIG_STATE_##to_, MIG_##side_, thread_, why_ },
    MIG_TRANSITIONS(X)
#undef X
};

const MigTransition *mig_transition_find(MigSide side, MigState from, MigState to)
{
    for (size_t i = 0; i < ARRAY_SIZE(transitions); i++) {
        const MigTransition *t = &transitions[i];
        if (t->side == side && t->from == from && t->to == to) {
            return t;
        }
    }
    return NULL;
}

const char *mig_state_name(MigState s)
{
    g_assert((unsigned)s < MIG_STATE__MAX);
    return states[s].name;
}

bool mig_state_from_name(const char *name, MigState *ret_state)
{
    for (int i = 0; i < MIG_STATE__MAX; i++) {
        if (!strcmp(states[i].name, name)) {
            *ret_state = i;
            return true;
        }
    }
    return false;
}

unsigned mig_state_attrs(MigState s)
{
    g_assert((unsigned)s < MIG_STATE__MAX);
    return states[s].attrs;
}

void mig_state_init(MigStateMachine *m, MigSide side, MigStateNotify *notify, void *opaque)
{
    m->side = side;
    m->notify = notify;
    m->opaque = opaque;
    m->state = MIG_STATE_NONE;
    m->kicked = false;
    g_mutex_init(&m->lock);
    g_cond_init(&m->changed);
}

void mig_state_clear(MigStateMachine *m)
{
    g_mutex_clear(&m->lock);
    g_cond_clear(&m->changed);
}

MigState mig_state_get(const MigStateMachine *m)
{
    return __atomic_load_n(&m->state, __ATOMIC_SEQ_CST);
}

static const char *side_name(MigSide side)
{
    return side == MIG_SRC ? "source" : "destination";
}

/* Lock held, the pair is legal. */
static void move_locked(MigStateMachine *m, const MigTransition *t)
{
    trace_migration_state(side_name(m->side), mig_state_name(t->from), mig_state_name(t->to),
                          t->why);
    __atomic_store_n(&m->state, t->to, __ATOMIC_SEQ_CST);
    if (m->notify) {
        m->notify(m->side, t->from, t->to, m->opaque);
    }
    g_cond_broadcast(&m->changed);
}

bool state_advance(MigStateMachine *m, MigState from, MigState to)
{
    const MigTransition *t = mig_transition_find(m->side, from, to);
    bool moved = false;

    if (!t) {
        g_error("illegal migration state change on the %s: %s -> %s", side_name(m->side),
                mig_state_name(from), mig_state_name(to));
    }
    g_mutex_lock(&m->lock);
    if (m->state == (int)from) {
        move_locked(m, t);
        moved = true;
    }
    g_mutex_unlock(&m->lock);
    return moved;
}

bool state_advance_any(MigStateMachine *m, MigState to, MigState *ret_from)
{
    const MigTransition *t;

    g_mutex_lock(&m->lock);
    if (ret_from) {
        *ret_from = m->state;
    }
    t = mig_transition_find(m->side, m->state, to);
    if (t) {
        move_locked(m, t);
    }
    g_mutex_unlock(&m->lock);
    return t != NULL;
}

void mig_state_reset(MigStateMachine *m)
{
    g_mutex_lock(&m->lock);
    g_assert(!mig_state_is_running(m->state));
    __atomic_store_n(&m->state, MIG_STATE_NONE, __ATOMIC_SEQ_CST);
    g_cond_broadcast(&m->changed);
    g_mutex_unlock(&m->lock);
}

MigState mig_state_wait(MigStateMachine *m, MigState current, int64_t until_us)
{
    MigState s;

    g_mutex_lock(&m->lock);
    if (m->state == (int)current && !m->kicked) {
        if (until_us == G_MAXINT64) {
            g_cond_wait(&m->changed, &m->lock);
        } else {
            g_cond_wait_until(&m->changed, &m->lock, until_us);
        }
    }
    s = m->state;
    m->kicked = false;
    g_mutex_unlock(&m->lock);
    return s;
}

void mig_state_kick(MigStateMachine *m)
{
    g_mutex_lock(&m->lock);
    m->kicked = true;
    g_cond_broadcast(&m->changed);
    g_mutex_unlock(&m->lock);
}
