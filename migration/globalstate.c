/*
 * Section `globalstate`: whether the machine ran on the source, and how it stood still
 * if not.  Saved last.
 *
 * No thread of its own: machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "globalstate.h"

#include <string.h>

#include "config.h"
#include "util/util.h"

static bool globalstate_pre_save(void *opaque, Error **errp)
{
    GlobalState *g = opaque;

    g->size = strlen(g->runstate) + 1;
    return true;
}

static bool globalstate_post_load(void *opaque, int version_id, Error **errp)
{
    GlobalState *g = opaque;

    g->received = true;
    /* The size is not trusted; the name must end inside its buffer and be known. */
    if (!memchr(g->runstate, 0, sizeof(g->runstate))) {
        error_setg(errp, "the run state in 'globalstate' has no end");
        return false;
    }
    if (!run_state_from_name(g->runstate, &g->loaded)) {
        g_autofree char *shown = g_strescape(g->runstate, NULL);

        error_setg(errp, "unknown run state '%s' in 'globalstate'", shown);
        return false;
    }
    if (g->suspended_known && g->suspended && g->loaded == RUN_STATE_RUNNING) {
        g->loaded = RUN_STATE_SUSPENDED;
    }
    return true;
}

static bool globalstate_needed(void *opaque)
{
    return mig_settings_get(mig_settings())->store_global_state;
}

/*
 * Older streams have 100 bytes for the name, all zero behind it: the same bytes as
 * the layout here, with both suspended fields 0.
 */
const VMStateDescription vmstate_globalstate = {
    .name = "globalstate", .version_id = 1, .minimum_version_id = 1,
    .pre_save = globalstate_pre_save, .post_load = globalstate_post_load,
    .needed = globalstate_needed,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT32(size, GlobalState),
        VMSTATE_BUFFER(runstate, GlobalState),
        { .name = "has_vm_was_suspended", .info = &vmstate_info_uint8, .size = 1,
          .offset = vmstate_offset(GlobalState, suspended_known, uint8_t) },
        { .name = "vm_was_suspended", .info = &vmstate_info_uint8, .size = 1,
          .offset = vmstate_offset(GlobalState, suspended, uint8_t) },
        VMSTATE_BUFFER(unused, GlobalState),
        VMSTATE_END_OF_LIST()
    },
};

void globalstate_store(GlobalState *g, RunState s)
{
    memset(g->runstate, 0, sizeof(g->runstate));
    g_strlcpy(g->runstate, run_state_name(s), sizeof(g->runstate));
    g->suspended_known = 1;
    g->suspended = s == RUN_STATE_SUSPENDED || vm_is_asleep();
}

void globalstate_forget(GlobalState *g)
{
    memset(g, 0, sizeof(*g));
}
