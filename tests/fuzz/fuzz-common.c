/*
 * Machines and inputs for the fuzz targets.  Main thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "fuzz.h"

#include "accel/accel.h"
#include "hw/core/machine.h"
#include "migration/migration.h"
#include "system/machine-lock.h"
#include "system/runstate.h"
#include "util/log.h"

static bool make_machine(const char *type, uint64_t ram_size, Error **errp)
{
    MachineState *m;

    if (!accel_try_init("qtest", errp)) {
        return false;
    }
    migration_init();
    m = machine_new(machine_class_by_name(type));
    m->ram_size = ram_size;
    m->smp = (SMPConfig){ 1, 1, 1, 1, 1, 1 };
    if (!machine_create(m, errp) || !machine_done(m, false, errp)) {
        return false;
    }
    migration_machine_ready();
    return true;
}

void fuzz_make_machine(const char *type, uint64_t ram_size)
{
    g_autoptr(Error) err = NULL;

    log_set_program("fuzz");
    main_loop_init();
    machine_lock();
    runstate_set(RUN_STATE_INMIGRATE);
    if (!make_machine(type, ram_size, &err)) {
        error_report("%s", err->message);
        _exit(2);
    }
    machine_unlock();
    /* What a hostile input makes it say is of no interest. */
    log_set_file("/dev/null");
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
