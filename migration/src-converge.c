/*
 * Auto-converge: when two periods in a row dirtied more than a given part of what was
 * sent, vCPUs lose a share of their time, and more of it each time that this is not
 * enough.
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
#include "trace/migration.h"
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

void converge_look(Migration *m)
{
    ConvergeState *c = &m->converge;
    int64_t now = host_clock_ms();
    uint64_t sent = stream_bytes(m->out), dirtied = m->ram->dirtied_total;
    ConvergeRules rules = present_rules();

    if (!m->config->cap[MIG_CAP_AUTO_CONVERGE]) {
        return;
    }
    if (c->last_ms && now - c->last_ms >= PERIOD_MS) {
        uint64_t new_dirty = (dirtied - c->last_dirtied) << TARGET_PAGE_BITS;
        uint64_t new_sent = sent - c->last_sent;

        if (converge_judge(&rules, &c->high, new_dirty, new_sent)) {
            int next = converge_next(&rules, cpu_throttle_percent(), new_dirty, new_sent);

            trace_migration_throttle(new_dirty, new_sent, next);
            cpu_throttle_set(next);
        }
    }
    if (!c->last_ms || now - c->last_ms >= PERIOD_MS) {
        *c = (ConvergeState){ .last_ms = now, .last_sent = sent, .last_dirtied = dirtied,
                              .high = c->high };
    }
}

void converge_end(Migration *m)
{
    if (m->config && m->config->cap[MIG_CAP_AUTO_CONVERGE]) {
        cpu_throttle_set(0);
    }
}
