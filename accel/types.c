/*
 * Types of the accelerators: managers look in qom-list-types for what -accel takes.
 * No object is ever made of them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qom/object.h"

static const TypeInfo accel_type = {
    .name = "accel", .abstract = true, .instance_size = sizeof(Object),
};
TYPE_REGISTER(accel_type)

static const TypeInfo kvm_accel_type = {
    .name = "kvm-accel", .parent = "accel", .description = "the processor itself, through KVM",
};
TYPE_REGISTER(kvm_accel_type)

static const TypeInfo interp_accel_type = {
    .name = "interp-accel", .parent = "accel", .description = "software CPU",
};
TYPE_REGISTER(interp_accel_type)

static const TypeInfo tcg_accel_type = {
    .name = "tcg-accel", .parent = "accel", .description = "second name of the software CPU",
};
TYPE_REGISTER(tcg_accel_type)

static const TypeInfo qtest_accel_type = {
    .name = "qtest-accel", .parent = "accel", .description = "no CPU runs",
};
TYPE_REGISTER(qtest_accel_type)
