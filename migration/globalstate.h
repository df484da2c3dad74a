/*
 * Section `globalstate`.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_MIGRATION_GLOBALSTATE_H
#define FERRY_MIGRATION_GLOBALSTATE_H

#include "migration/vmstate.h"
#include "system/runstate.h"

/* Machine lock. */
typedef struct GlobalState {
    /* as saved */
    uint32_t size;            /* of the name, with its NUL */
    char runstate[32];
    uint8_t suspended_known, suspended;
    uint8_t unused[66];
    /* result of a load */
    bool received;
    RunState loaded;
} GlobalState;

extern const VMStateDescription vmstate_globalstate;

/* Source: what the machine did when it was stopped for the switch. */
void globalstate_store(GlobalState *g, RunState s);
/* Destination, before a load: nothing received. */
void globalstate_forget(GlobalState *g);
/* The one of the process (migration.c keeps it). */
GlobalState *globalstate(void);

#endif
