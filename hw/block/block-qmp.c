/*
 * QMP and HMP queries about disk images.  Main thread, machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include <sys/stat.h>

#include "hw/block/block.h"
#include "monitor/hmp.h"
#include "qapi/qapi-commands.h"

/* The backend that does the I/O. */
static const BlockBackend *bottom(const BlockBackend *b)
{
    return b->file ? b->file : b;
}

/* Made by -drive: format and file in one; by -blockdev: one of the two. */
static bool is_drive(const BlockBackend *b)
{
    return !b->file && !strcmp(b->driver, "raw");
}

/* A disk of the machine uses it, rather than a node above it. */
static bool has_disk(const BlockBackend *b)
{
    return b->user && b->user[0] == '/';
}

/* The disk's id, or its path when it has none. */
static char *disk_name(const BlockBackend *b)
{
    static const char named[] = "/machine/peripheral/";

    if (!has_disk(b)) {
        return NULL;
    }
    bool has_id = g_str_has_prefix(b->user, named) && !strchr(b->user + strlen(named), '/');

    return g_strdup(has_id ? b->user + strlen(named) : b->user);
}

static BlockDeviceInfo *node_info(const BlockBackend *b)
{
    const BlockBackend *low = bottom(b);
    BlockDeviceInfo *info = g_new0(BlockDeviceInfo, 1);
    struct stat st;

    info->file = g_strdup(low->filename);
    info->node_name = is_drive(b) ? NULL : g_strdup(b->id);
    info->ro = b->readonly;
    info->drv = g_strdup(b->driver);
    info->detect_zeroes = g_strdup("off");
    info->cache = g_new0(BlockdevCacheInfo, 1);
    info->cache->writeback = true;
    info->cache->direct = b->direct;
    info->cache->no_flush = b->no_flush;
    info->image = g_new0(ImageInfo, 1);
    info->image->filename = g_strdup(low->filename);
    info->image->format = g_strdup(b->driver);
    info->image->virtual_size = low->size;
    if (low->fd >= 0 && fstat(low->fd, &st) == 0) {
        info->image->has_actual_size = true;
        info->image->actual_size = st.st_blocks * 512LL;
    }
    return info;
}

GPtrArray *qmp_query_block(Error **errp)
{
    GPtrArray *list = block_info_list_new();

    for (BlockBackend *b = block_backend_first(); b; b = b->next) {
        BlockInfo *info;

        if (!is_drive(b) && !has_disk(b)) {
            continue;
        }
        info = g_new0(BlockInfo, 1);
        info->device = g_strdup(is_drive(b) ? b->id : "");
        info->qdev = disk_name(b);
        info->type = g_strdup("unknown");
        info->inserted = node_info(b);
        g_ptr_array_add(list, info);
    }
    return list;
}

GPtrArray *qmp_query_named_block_nodes(const QueryNamedBlockNodesArgs *args, Error **errp)
{
    GPtrArray *list = block_device_info_list_new();

    for (BlockBackend *b = block_backend_first(); b; b = b->next) {
        if (!is_drive(b)) {
            g_ptr_array_add(list, node_info(b));
        }
    }
    return list;
}

GPtrArray *qmp_query_blockstats(const QueryBlockstatsArgs *args, Error **errp)
{
    bool nodes = args->has_query_nodes && args->query_nodes;
    GPtrArray *list = block_stats_list_new();

    for (BlockBackend *b = block_backend_first(); b; b = b->next) {
        BlockStats *s;

        if (nodes ? is_drive(b) : !is_drive(b) && !has_disk(b)) {
            continue;
        }
        s = g_new0(BlockStats, 1);
        s->device = nodes ? NULL : g_strdup(is_drive(b) ? b->id : "");
        s->qdev = disk_name(b);
        s->node_name = is_drive(b) ? NULL : g_strdup(b->id);
        s->stats = g_new0(BlockDeviceStats, 1);
        s->stats->rd_bytes = b->rd_bytes;
        s->stats->wr_bytes = b->wr_bytes;
        s->stats->rd_operations = b->rd_ops;
        s->stats->wr_operations = b->wr_ops;
        s->stats->flush_operations = b->flush_ops;
        g_ptr_array_add(list, s);
    }
    return list;
}

static void info_block(HmpSession *s, JsonObject *args)
{
    g_autoptr(GPtrArray) list = qmp_query_block(NULL);

    for (guint i = 0; i < list->len; i++) {
        const BlockInfo *b = g_ptr_array_index(list, i);
        const BlockDeviceInfo *in = b->inserted;

        hmp_printf(s, "%s%s: %s (%s%s)\n", i ? "\n" : "", *b->device ? b->device : in->node_name,
                   in->file, in->drv, in->ro ? ", read-only" : "");
        if (b->qdev) {
            hmp_printf(s, "    Attached to:      %s\n", b->qdev);
        }
        hmp_printf(s, "    Cache mode:       writeback%s%s\n", in->cache->direct ? ", direct" : "",
                   in->cache->no_flush ? ", ignore flushes" : "");
    }
}

static void info_blockstats(HmpSession *s, JsonObject *args)
{
    const QueryBlockstatsArgs none = {0};
    g_autoptr(GPtrArray) list = qmp_query_blockstats(&none, NULL);

    for (guint i = 0; i < list->len; i++) {
        const BlockStats *b = g_ptr_array_index(list, i);
        hmp_printf(s,
                   "%s: rd_bytes=%" G_GINT64_FORMAT " wr_bytes=%" G_GINT64_FORMAT
                   " rd_operations=%" G_GINT64_FORMAT " wr_operations=%" G_GINT64_FORMAT
                   " flush_operations=%" G_GINT64_FORMAT "\n",
                   *b->device ? b->device : b->node_name, b->stats->rd_bytes, b->stats->wr_bytes,
                   b->stats->rd_operations, b->stats->wr_operations, b->stats->flush_operations);
    }
}

GPtrArray *qmp_query_jobs(Error **errp)
{
    return job_info_list_new();
}

static const HmpCommand block_info[] = {
    { "block", "", "", "the disks", info_block },
    { "blockstats", "", "", "what the disks did", info_blockstats },
    { NULL },
};
HMP_INFO(block_info)
