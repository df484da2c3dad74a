/*
 * Local APIC: the state that both its models share.
 *
 * One APICState a vCPU, section `apic` version 3 with the initial APIC id as
 * instance.  The model is either the kernel's (accel/kvm) or the one in
 * hw/intc/apic.c; both save the same section, so a guest can go from one to the other.
 * Machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_HW_INTC_APIC_H
#define FERRY_HW_INTC_APIC_H

#include <stdbool.h>
#include <stdint.h>

#include "system/clock.h"
#include "util/error.h"

struct X86CPU;

#define APIC_DEFAULT_BASE 0xfee00000u
#define APICBASE_BSP (1u << 8)
#define APICBASE_EXTD (1u << 10) /* x2APIC mode */
#define APICBASE_ENABLE (1u << 11)

/* Rows of lvt[]. */
enum { APIC_LVT_TIMER, APIC_LVT_THERMAL, APIC_LVT_PERFORM, APIC_LVT_LINT0, APIC_LVT_LINT1,
       APIC_LVT_ERROR, APIC_LVT_NB };
#define APIC_LVT_MASKED (1u << 16)
#define APIC_LVT_TIMER_MODE_SHIFT 17 /* two bits: 0 one-shot, 1 periodic, 2 TSC deadline */
#define APIC_SPURIO_ENABLED (1u << 8)

typedef struct APICState APICState;

/* What a model does; members may be NULL. */
typedef struct APICOps {
    const char *name;                          /* "kvm-apic", "apic" */
    void (*init)(APICState *s);                /* once, after the state exists */
    bool (*pre_save)(APICState *s, Error **errp);  /* bring the state up to date */
    bool (*post_load)(APICState *s, Error **errp); /* act on a loaded state */
    void (*reset)(APICState *s);               /* after apic_common_reset() */
} APICOps;

struct APICState {
    const APICOps *ops;
    struct X86CPU *cpu;
    uint32_t initial_apic_id;

    /* Registers, as saved. */
    uint32_t apicbase;           /* low half of the MSR: address | APICBASE_* */
    uint8_t id, arb_id, tpr;
    uint32_t spurious_vec;
    uint8_t log_dest;            /* logical id (upper byte of LDR) */
    uint8_t dest_mode;           /* DFR model: 0xf flat, 0 cluster */
    uint32_t isr[8], tmr[8], irr[8];
    uint32_t lvt[APIC_LVT_NB];
    uint32_t esr;
    uint32_t icr[2];
    uint32_t divide_conf;
    int32_t count_shift;         /* a timer tick is 1 ns << count_shift */
    uint32_t initial_count;
    int64_t initial_count_load_time; /* virtual clock, ns */
    int64_t next_time;
    int64_t timer_expiry;        /* virtual clock, ns; -1: not armed */
    int32_t sipi_vector;
    int32_t wait_for_sipi;

    Timer timer;                 /* used by the userspace model only */
    void *model;                 /* private to the model */
};

/*
 * Make the local APIC of `cpu` in power-on state and register its section.  NULL
 * with errp set when the instance is taken.
 */
APICState *apic_new(struct X86CPU *cpu, Error **errp);
void apic_free(APICState *s);
/* Power-on state, INIT state (keeps id and base); the model's reset follows. */
void apic_reset(APICState *s);
void apic_init_reset(APICState *s);
/* count_shift from divide_conf. */
int apic_divide_shift(uint32_t divide_conf);
/*
 * Recompute next_time for the moment now_ns; true when the timer is to fire then
 * (one-shot or periodic mode, not masked and running).
 */
bool apic_next_timer(APICState *s, int64_t now_ns);

/*
 * The userspace model registers itself at start-up; it is used when the accelerator
 * has no APIC of its own.
 */
void apic_set_user_model(const APICOps *ops);

extern const struct VMStateDescription vmstate_apic; /* section `apic` */

#endif
