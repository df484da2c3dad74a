/*
 * The QMP event of a change of state.
 *
 * Runs in the thread that advances the state.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "migration/config.h"
#include "migration/state.h"
#include "qapi/qapi-events.h"
#include "qapi/qapi-types.h"

#define X(id, name, attrs) \
    G_STATIC_ASSERT((int)MIG_STATE_##id == (int)MIGRATION_STATUS_##id);
MIG_STATES(X)
#undef X
G_STATIC_ASSERT((int)MIG_STATE__MAX == (int)MIGRATION_STATUS__MAX);

void mig_state_emit_event(MigSide side, MigState from, MigState to, void *opaque)
{
    if (mig_settings_cap(MIG_CAP_EVENTS)) {
        qapi_event_send_migration((MigrationStatus)to);
    }
}
