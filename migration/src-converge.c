/*
 * Making a guest converge: when two periods in a row dirtied more than a given part of what was
 * sent, vCPUs lose a share of their time, and more of it each time that this is not
 * enough (auto-converge), or each gets a limit of what it may dirty (dirty-limit).
 *
 * Belongs to the source's migration thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "src-converge.h"

#include "config.h"
#include "ram.h"
#include "stream-internal.h"
#include "system/cpu-throttle.h"
#include "system/dirty-limit.h"
#include "system/machine-lock.h"
#include "trace/migration.h"
#include "util/log.h"
#include "util/util.h"

/* A period is over at the first sync after this; shorter ones say little. */
#define PERIOD_MS 1000
#define PERIODS_TOO_FAST 2

static ConvergeRules present_rules(void)
{
    return (ConvergeRules){
        .trigger = mig_live(MIG_PARAM_THROTTLE_TRIGGER_THRESHOLD),
        .initial = mig_live(MIG_PARAM_CPU_THROTTLE_INITIAL),
        .increment = mig_live(MIG_PARAM_CPU_THROTTLE_INCREMENT),
        .max = mig_live(MIG_PARAM_MAX_CPU_THROTTLE),
        .tailslow = mig_live(MIG_PARAM_CPU_THROTTLE_TAILSLOW),
    };
}

/* What may be dirtied in a period in which `sent` bytes went out. */
static double allowed(const ConvergeRules *rules, uint64_t sent)
{
    return (double)sent * rules->trigger / 100;
}

bool converge_judge(const ConvergeRules *rules, unsigned *high, uint64_t dirtied, uint64_t sent)
{
    if (dirtied <= allowed(rules, sent)) {
        *high = 0;
        return false;
    }
    if (++*high < PERIODS_TOO_FAST) {
        return false;
    }
    *high = 0;
    return true;
}

int converge_next(const ConvergeRules *rules, int now, uint64_t dirtied, uint64_t sent)
{
    unsigned step = rules->increment;

    if (now == 0) {
        return MIN(rules->initial, rules->max);
    }
    if (rules->tailslow && dirtied) {
        /* Writes follow the time left to the vCPUs: what would make them fit exactly? */
        double left = 100 - now;
        double fitting = left * allowed(rules, sent) / dirtied;

        step = MIN(step, (unsigned)MAX(left - fitting, 0));
    }
    return MIN((unsigned)now + step, rules->max);
}

/* One limit for all vCPUs; the parameter may change while the migration runs. */
static void limit_vcpus(ConvergeState *c)
{
    uint64_t limit = mig_live(MIG_PARAM_VCPU_DIRTY_LIMIT);
    g_autoptr(Error) err = NULL;

    dirty_limit_set_period(mig_live(MIG_PARAM_X_VCPU_DIRTY_LIMIT_PERIOD));
    if (limit == c->limit) {
        return;
    }
    MACHINE_LOCK_GUARD();
    if (!dirty_limit_set(-1, limit, &err)) {
        warn_report("dirty-limit: %s", error_get_pretty(err));
        return;
    }
    c->limit = limit;
}

static void slow_down(Migration *m, const ConvergeRules *rules, uint64_t dirtied, uint64_t sent)
{
    int next;

    if (m->config->cap[MIG_CAP_DIRTY_LIMIT]) {
        limit_vcpus(&m->converge);
        return;
    }
    next = converge_next(rules, cpu_throttle_percent(), dirtied, sent);
    trace_migration_throttle(dirtied, sent, next);
    cpu_throttle_set(next);
}

void converge_look(Migration *m)
{
    ConvergeState *c = &m->converge;
    int64_t now = host_clock_ms();
    uint64_t sent = stream_bytes(m->out), dirtied = m->ram->dirtied_total;
    ConvergeRules rules = present_rules();

    if (!m->config->cap[MIG_CAP_AUTO_CONVERGE] && !m->config->cap[MIG_CAP_DIRTY_LIMIT]) {
        return;
    }
    if (c->last_ms && now - c->last_ms >= PERIOD_MS) {
        uint64_t new_dirty = (dirtied - c->last_dirtied) << TARGET_PAGE_BITS;
        uint64_t new_sent = sent - c->last_sent;

        if (converge_judge(&rules, &c->high, new_dirty, new_sent)) {
            slow_down(m, &rules, new_dirty, new_sent);
        }
    }
    if (!c->last_ms || now - c->last_ms >= PERIOD_MS) {
        c->last_ms = now;
        c->last_sent = sent;
        c->last_dirtied = dirtied;
    }
}

void converge_end(Migration *m)
{
    if (m->config && m->config->cap[MIG_CAP_AUTO_CONVERGE]) {
        cpu_throttle_set(0);
    }
    if (m->converge.limit) {
        MACHINE_LOCK_GUARD();
        dirty_limit_set(-1, 0, NULL);
        dirty_limit_set_period(DIRTY_LIMIT_PERIOD_MS);
        m->converge.limit = 0;
    }
}
