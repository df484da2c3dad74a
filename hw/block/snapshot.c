/*
 * Snapshots inside disk images (savevm and its kin): every image here is raw and holds none, so each
 * command says so and names what saves a machine in their place.
 *
 * Main thread, machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "hw/block/block.h"
#include "monitor/hmp.h"
#include "qapi/qapi-commands.h"
#include "util/error.h"

#define INSTEAD "(raw images hold none; 'migrate file:NAME' saves the machine without its disks)"

/* Always false. */
static bool refuse(Error **errp)
{
    for (BlockBackend *b = block_backend_first(); b; b = b->next) {
        if (!b->file && !b->readonly) {
            error_setg(errp, "Device '%s' is writable but does not support snapshots " INSTEAD,
                       b->id);
            return false;
        }
    }
    error_setg(errp, "no block device can store vmstate for snapshot " INSTEAD);
    return false;
}

bool qmp_snapshot_save(const SnapshotSaveArgs *args, Error **errp)
{
    return refuse(errp);
}

bool qmp_snapshot_load(const SnapshotLoadArgs *args, Error **errp)
{
    return refuse(errp);
}

bool qmp_snapshot_delete(const SnapshotDeleteArgs *args, Error **errp)
{
    return refuse(errp);
}

static void hmp_refuse(HmpSession *s, JsonObject *args)
{
    Error *err = NULL;

    refuse(&err);
    hmp_error(s, err);
}

static void info_snapshots(HmpSession *s, JsonObject *args)
{
    hmp_puts(s, "no block device can store vmstate for snapshot\n");
}

static const HmpCommand snapshot_commands[] = {
    { "savevm", "tag:s?", "[tag]", "save the machine inside its disk images (no image here can)",
      hmp_refuse },
    { "loadvm", "tag:s", "tag", "load what savevm saved (no image here can hold it)", hmp_refuse },
    { "delvm", "tag:s", "tag", "delete what savevm saved (no image here can hold it)",
      hmp_refuse },
    { NULL }
};
HMP_COMMANDS(snapshot_commands)

static const HmpCommand snapshot_info[] = {
    { "snapshots", "", "", "what savevm saved", info_snapshots },
    { NULL }
};
HMP_INFO(snapshot_info)
