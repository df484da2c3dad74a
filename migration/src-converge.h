/*
 * A guest that writes faster than its memory can be sent is slowed down
 * (auto-converge).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_MIGRATION_SRC_CONVERGE_H
#define FERRY_MIGRATION_SRC_CONVERGE_H

#include "migration-int.h"

/* Percentages of the parameters with the same names. */
typedef struct ConvergeRules {
    unsigned trigger, initial, increment, max;
    bool tailslow;
} ConvergeRules;

/*
 * What a look at one period says, a pure function: the guest dirtied and we sent so many
 * bytes.  `high` counts periods in a row that were too fast (kept by the caller): two of
 * them make it worth doing something.  True: do something now.
 */
bool converge_judge(const ConvergeRules *rules, unsigned *high, uint64_t dirtied, uint64_t sent);
/* The share to take from the vCPUs after such a look, `now` being the present one (0: none). */
int converge_next(const ConvergeRules *rules, int now, uint64_t dirtied, uint64_t sent);

/* After each sync of a pass.  Migration thread. */
void converge_look(Migration *m);
/* The guest gets all of its time back.  Migration thread, or main when that has ended. */
void converge_end(Migration *m);

#endif
