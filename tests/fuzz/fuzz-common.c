/*
 * Machines and inputs for the fuzz targets.  Main thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "fuzz.h"

#include <inttypes.h>
#include <sys/mman.h>
#include <unistd.h>

#include "accel/accel.h"
#include "chardev/chardev.h"
#include "hw/core/machine.h"
#include "migration/lifecycle.h"
#include "migration/migration.h"
#include "migration/state.h"
#include "qom/object.h"
#include "system/cmdline-private.h"
#include "system/machine-lock.h"
#include "system/runstate.h"
#include "util/log.h"
#include "util/util.h"

#define DISK_BYTES (1 * MiB)

/* As main() does it. */
static bool make_machine(const Cmdline *c, Error **errp)
{
    if (!startup_chardevs(c, errp) || !startup_accel(c, errp)) {
        return false;
    }
    migration_init();
    object_container("/objects");
    if (!startup_early_objects(c, errp) || !startup_machine(c, errp) || !startup_devices(c, errp) ||
        !machine_done(current_machine, false, errp)) {
        return false;
    }
    migration_machine_ready();
    return true;
}

static void make(GPtrArray *argv)
{
    g_autoptr(Error) err = NULL;
    Cmdline c;

    log_set_program("fuzz");
    main_loop_init();
    machine_lock();
    runstate_set(RUN_STATE_INMIGRATE);
    if (!cmdline_parse(&c, argv->len, (char **)argv->pdata, &err) || !make_machine(&c, &err)) {
        error_report("%s", err->message);
        _exit(2);
    }
    cmdline_clear(&c);
    machine_unlock();
    /* What a hostile input makes it say is of no interest. */
    log_set_file("/dev/null");
}

static void add_arg(GPtrArray *argv, const char *arg)
{
    g_ptr_array_add(argv, g_strdup(arg));
}

static void make_with(const char *type, uint64_t ram_size, const char *const *more)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new_with_free_func(g_free);

    add_arg(argv, "fuzz");
    add_arg(argv, "-M");
    add_arg(argv, type);
    add_arg(argv, "-accel");
    add_arg(argv, "qtest");
    add_arg(argv, "-m");
    g_ptr_array_add(argv, g_strdup_printf("%" PRIu64 "K", (uint64_t)(ram_size / KiB)));
    for (; *more; more++) {
        add_arg(argv, *more);
    }
    make(argv);
}

void fuzz_make_machine(const char *type, uint64_t ram_size)
{
    make_with(type, ram_size, (const char *const[]){ NULL });
}

void fuzz_make_pc(uint64_t ram_size)
{
    int fd = memfd_create("disk", MFD_CLOEXEC), vfd = memfd_create("vdisk", MFD_CLOEXEC);
    g_autofree char *drive = g_strdup_printf(
        "if=none,id=d,format=raw,file=/proc/self/fd/%d", fd);
    g_autofree char *vdrive = g_strdup_printf(
        "if=none,id=v,format=raw,file=/proc/self/fd/%d", vfd);
    const char *const more[] = {
        "-drive", drive, "-device", "ide-hd,drive=d", "-chardev", "null,id=c",
        "-device", "isa-debugcon,chardev=c", "-device", "isa-debug-exit", "-chardev", "null,id=s",
        "-device", "isa-serial,chardev=s", "-drive", vdrive, "-device", "virtio-blk-pci,drive=v",
        "-device", "virtio-rng-pci", NULL,
    };

    g_assert(fd >= 0 && ftruncate(fd, DISK_BYTES) == 0);
    g_assert(vfd >= 0 && ftruncate(vfd, DISK_BYTES) == 0);
    make_with("q35", ram_size, more);
}

uint8_t fuzz_take_u8(FuzzInput *in)
{
    if (!in->len) {
        return 0;
    }
    in->len--;
    return *in->data++;
}

char *fuzz_take_text(FuzzInput *in)
{
    char *text = g_strndup((const char *)in->data, in->len);

    in->len = 0;
    return text;
}

void fuzz_drop_objects(void)
{
    Object *all = object_container("/objects");
    g_autoptr(GPtrArray) ids = g_ptr_array_new_with_free_func(g_free);
    guint left;

    for (guint i = 0; all->children && i < all->children->len; i++) {
        const Object *o = g_ptr_array_index(all->children, i);

        if (!g_str_has_prefix(o->name, "machine-")) { /* fuzz_make_pc() needs those */
            g_ptr_array_add(ids, g_strdup(o->name));
        }
    }
    do { /* who is used by another one goes after it */
        left = ids->len;
        for (guint i = ids->len; i-- > 0;) {
            if (object_delete_user(g_ptr_array_index(ids, i), NULL)) {
                g_ptr_array_remove_index(ids, i);
            }
        }
    } while (ids->len < left);
}

static void collect_chardev(Chardev *c, void *ids)
{
    g_ptr_array_add(ids, g_strdup(chardev_id(c)));
}

void fuzz_drop_chardevs(void)
{
    g_autoptr(GPtrArray) ids = g_ptr_array_new_with_free_func(g_free);

    chardev_foreach(collect_chardev, ids);
    for (guint i = 0; i < ids->len; i++) {
        chardev_remove(g_ptr_array_index(ids, i), NULL); /* unless it is the machine's */
    }
}

void fuzz_run_main_loop(void)
{
    Migration *m;

    do {
        while (g_main_context_iteration(NULL, FALSE)) {
        }
        m = migration_source_current();
    } while (m && !__atomic_load_n(&m->threads_done, __ATOMIC_ACQUIRE) &&
             (migration_cancel(NULL), g_main_context_iteration(NULL, TRUE), true));
}
