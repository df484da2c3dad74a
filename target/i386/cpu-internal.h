/*
 * What the files of target/i386 show each other: feature words, models, CPUID.  Private to
 * target/i386.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_TARGET_I386_CPU_INTERNAL_H
#define FERRY_TARGET_I386_CPU_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "target/i386/cpu.h"

typedef struct FeatureWord {
    uint32_t fn, index;
    int reg;                /* 0 eax, 1 ebx, 2 ecx, 3 edx */
    const char *where;      /* "CPUID.01H:EDX" */
    const char *names[32];
    uint32_t no_state;      /* bits whose state Ferry does not save: never offered */
} FeatureWord;
extern const FeatureWord feature_words[FEAT_WORDS];

/* Find a feature by name ('_' and '-' are alike; other spellings are known). */
bool feature_find(const char *name, int *ret_word, uint32_t *ret_mask);
/* Set or clear features named in a list separated by spaces. Asserts on unknown names. */
void features_apply(uint32_t *words, const char *list, bool on);
/* What the accelerator in use can give, of word w. */
uint32_t feature_supported(int w);
bool feature_has(const X86CPU *cpu, int w, unsigned bit);

/* A named CPU model. */
typedef struct CPUModelDef {
    const char *name;
    const char *vendor;
    unsigned family, model, stepping;
    uint32_t level, xlevel;
    const char *base;      /* model whose features come first, or NULL */
    const char *features;  /* more of them */
    const char *without;   /* of base's: not these; or NULL */
    const char *model_id;
    const char *desc;
    bool max_like;         /* everything that the accelerator offers */
    bool is_static;        /* does not change between versions */
    bool host_identity;    /* vendor, family ... of the host */
} CPUModelDef;
extern const CPUModelDef cpu_model_defs[]; /* ends with name NULL */
const CPUModelDef *cpu_model_find(const char *name);
/* Fill features, vendor, version, levels of the CPU object. */
void cpu_model_apply(X86CPU *cpu, const CPUModelDef *def);

/* machine.c: the sections cpu and cpu_common of an X86CPU. */
extern const struct VMStateDescription vmstate_x86_cpu, vmstate_x86_cpu_common;

/* cpu-props.c: properties of every CPU; more of the models that take all there is. */
extern PropertyInfo x86_cpu_props[]; /* filled before main() */
extern const PropertyInfo x86_max_cpu_props[];

/* Names of the features of `words` (g_free each); free the list with g_ptr_array_unref(). */
GPtrArray *feature_names(const uint32_t *words);

/* cpuid.c: make cpu->cpuid of the features. */
void x86_cpu_build_cpuid(X86CPU *cpu);

/*
 * options.c: the part of -cpu after the model, comma separated.  What the accelerator
 * lacks is taken out, with one line of warning (or refused, with enforce=on).
 */
bool x86_cpu_parse_options(X86CPU *cpu, const char *options, Error **errp);
/* One "NAME=VALUE" of it; nothing is taken out. */
bool x86_cpu_set_property_text(X86CPU *cpu, const char *text, Error **errp);

#endif
