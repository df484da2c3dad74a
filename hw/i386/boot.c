/*
 * How a PC without firmware starts: at reset the boot sector of the first disk is put
 * at 0x7c00 and the first CPU goes there in real mode, DL 0x80, as a BIOS would have
 * it.  There are no BIOS services.  Machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "accel/accel.h"
#include "hw/block/block.h"
#include "hw/i386/x86.h"
#include "hw/timer/mc146818rtc.h"
#include "system/address-space.h"
#include "system/runstate.h"
#include "target/i386/cpu.h"
#include "trace/hw.h"
#include "util/log.h"

#define BOOT_ADDR 0x7c00
#define WARM_VECTOR 0x467        /* offset, segment */
#define CMOS_SHUTDOWN 0x0f
#define SHUTDOWN_JUMP 0x0a
#define MP_STATE_HALTED 3 /* KVM numbering */

static char *boot_error; /* why the last reset found nothing to boot; NULL: it did */

/* The boot sector into memory; NULL, or what is wrong (free with g_free()). */
static char *load_boot_sector(void)
{
    BlockBackend *b = block_boot_disk();
    uint8_t sector[BLOCK_SECTOR_SIZE];

    if (!b) {
        return g_strdup("no bootable disk: there is no firmware, give a raw image with "
                        "-drive if=none,id=d,file=FILE,format=raw -device ide-hd,drive=d");
    }
    if (!block_backend_read(b, 0, sector, 1)) {
        return g_strdup_printf("no bootable disk: the first sector of '%s' cannot be read", b->id);
    }
    if (sector[510] != 0x55 || sector[511] != 0xaa) {
        return g_strdup_printf("no bootable disk: the first sector of '%s' does not end in 55 aa",
                               b->id);
    }
    trace_boot_disk(b->id);
    memory_write(BOOT_ADDR, sector, sizeof(sector));
    return NULL;
}

static void enter_boot_sector(CPUX86State *env)
{
    env->segs[R_CS].selector = 0;
    env->segs[R_CS].base = 0;
    env->eip = BOOT_ADDR;
    env->regs[R_EDX] = 0x80; /* first hard disk */
    env->regs[R_ESP] = BOOT_ADDR;
}

/*
 * Waking from S3: a guest that wants to go on leaves the PC's "jump through 40:67" in the
 * shutdown byte of the RTC's memory, as for any reset that it wants to come back from.
 * Any other value boots anew.
 */
static bool resume_through_vector(CPUX86State *env)
{
    uint8_t vector[4];

    if (!system_is_waking() || rtc_get_cmos(CMOS_SHUTDOWN) != SHUTDOWN_JUMP) {
        return false;
    }
    memory_read(WARM_VECTOR, vector, sizeof(vector));
    rtc_set_cmos(CMOS_SHUTDOWN, 0);
    env->eip = vector[0] | vector[1] << 8;
    env->segs[R_CS].selector = vector[2] | vector[3] << 8;
    env->segs[R_CS].base = (uint64_t)env->segs[R_CS].selector << 4;
    trace_boot_resume(env->segs[R_CS].selector, env->eip);
    return true;
}

/* The CPUs, which were made before, have been reset. */
static void boot_reset(void *opaque)
{
    g_clear_pointer(&boot_error, g_free);
    if (!cpu_first() || runstate_check(RUN_STATE_INMIGRATE)) {
        return; /* the stream says where the guest is */
    }
    CPUX86State *env = &X86_CPU(cpu_first())->env;
    if (resume_through_vector(env)) {
        return;
    }
    boot_error = load_boot_sector();
    if (boot_error) { /* nothing to run: the CPU sleeps with interrupts off */
        env->mp_state = MP_STATE_HALTED;
        env->halted = 1;
    } else {
        enter_boot_sector(env);
    }
}

/* A machine that was made with -S is told when it is started. */
static void on_run(void *opaque, bool running, RunState s)
{
    static bool reported;

    if (running && boot_error && !reported && !qtest_accel_enabled()) {
        reported = true;
        warn_report("%s; the guest does nothing", boot_error);
    }
}

void x86_boot_init(void)
{
    reset_handler_add(boot_reset, NULL);
    vm_state_change_add(on_run, NULL, 0);
}

bool x86_boot_check(MachineState *m, Error **errp)
{
    if (boot_error && !qtest_accel_enabled()) {
        error_setg(errp, "%s", boot_error);
        return false;
    }
    return true;
}
