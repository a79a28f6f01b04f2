/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Register map of the XnorForge accelerator; written by xnorforge from its table, do not edit. */

#ifndef XNORFORGE_REGISTERS_H
#define XNORFORGE_REGISTERS_H

/* What the registers `id` and `version` hold. */
#define XNF_ID_EXPECTED 0x584e4631u
#define XNF_VERSION_EXPECTED 0x00010000u
/* Bytes of the address space. */
#define XNF_ADDRESS_BYTES 0x1000u

/* RO Identifies the accelerator: "XNF1" in ASCII. */
#define XNF_ID 0x00u

/* RO Version of this map. */
#define XNF_VERSION 0x04u
/* Rises when registers or fields are added. */
#define XNF_VERSION_MINOR_MASK 0x0000ffffu
#define XNF_VERSION_MINOR_SHIFT 0u
/* Rises when what was there changes. */
#define XNF_VERSION_MAJOR_MASK 0xffff0000u
#define XNF_VERSION_MAJOR_SHIFT 16u

/* RO The first 32 bits of the SHA-256 of the configuration. */
#define XNF_CONFIGURATION_HIGH 0x08u

/* RO The next 32 bits of it. */
#define XNF_CONFIGURATION_LOW 0x0cu

/* RO Rows of processing elements (R): output pixels of a tile. */
#define XNF_ROWS 0x10u

/* RO Columns of processing elements (C): output channels of a tile. */
#define XNF_COLUMNS 0x14u

/* RO Lanes (L): elements of a dot product that are taken in a cycle. */
#define XNF_LANES 0x18u

/* RO Most branches of an activation (M). */
#define XNF_ACTIVATION_BITS 0x1cu

/* RO Most branches of a weight (K). */
#define XNF_WEIGHT_BITS 0x20u

/* RO Activation branches that are taken in a cycle (PM). */
#define XNF_ACTIVATION_BRANCHES 0x24u

/* RO Weight branches that are taken in a cycle (PK). */
#define XNF_WEIGHT_BRANCHES 0x28u

/* RO Most elements of a dot product. */
#define XNF_REDUCTION_MAX 0x2cu

/* RO Bits of a result before requantization. */
#define XNF_RESULT_WIDTH 0x30u

/* RO Slices of a memory word (S): granules in a word. */
#define XNF_SLICES 0x34u

/* RO Columns that leave the drain in a cycle (E): values in a transfer of the result stream. */
#define XNF_DRAIN_COLUMNS 0x38u

/* RO Copies of the activation memory (F). */
#define XNF_LOAD_PORTS 0x3cu

/* RO Words of the activation memory, of lanes x activation_branches bits. */
#define XNF_ACTIVATION_WORDS 0x40u

/* RO Words of the residual memory, of as many bits. */
#define XNF_RESIDUAL_WORDS 0x44u

/* RO Words of a row's patch buffer, both halves, of as many bits. */
#define XNF_PATCH_WORDS 0x48u

/* RO Words of a column's weight memory, of lanes x weight_branches bits. */
#define XNF_WEIGHT_WORDS 0x4cu

/* RO Column constants of a drained column. */
#define XNF_CONSTANT_WORDS 0x50u

/* RO Channels whose thresholds or affine parameters a drained column holds. */
#define XNF_CHANNEL_WORDS 0x54u

/* RO Entries of the residual table. */
#define XNF_TABLE_WORDS 0x58u

/* RO Words of the program memory, of 32 bits. */
#define XNF_PROGRAM_WORDS 0x5cu

/* RO Entries of the schedule memory. */
#define XNF_SCHEDULE_WORDS 0x60u

/* RO Sets of performance counters. */
#define XNF_LAYERS 0x64u

/* RO Performance counters of a set. */
#define XNF_COUNTERS 0x68u

/* RO Most bits of a code that thresholds can make (B). */
#define XNF_THRESHOLD_BITS 0x6cu

/* RO Width of the weight and the input stream in bits. */
#define XNF_STREAM_BITS 0x70u

/* W1P Starts and stops. */
#define XNF_CONTROL 0x7cu
/* Runs the program from `start_address`, `runs` times. Refused while `status.busy` or `status.clearing`. */
#define XNF_CONTROL_START_MASK 0x00000001u
#define XNF_CONTROL_START_SHIFT 0u
/* Ends what is running; memories and these registers keep their contents. Wins over the other bits. */
#define XNF_CONTROL_SOFT_RESET_MASK 0x00000002u
#define XNF_CONTROL_SOFT_RESET_SHIFT 1u
/* Clears the performance counters. Refused while `status.busy` or `status.clearing`. */
#define XNF_CONTROL_COUNTER_CLEAR_MASK 0x00000004u
#define XNF_CONTROL_COUNTER_CLEAR_SHIFT 2u

/* RO What the accelerator is doing. */
#define XNF_STATUS 0x80u
/* A program runs. */
#define XNF_STATUS_BUSY_MASK 0x00000001u
#define XNF_STATUS_BUSY_SHIFT 0u
/* What was started last has ended well. */
#define XNF_STATUS_DONE_MASK 0x00000002u
#define XNF_STATUS_DONE_SHIFT 1u
/* The performance counters are being cleared. */
#define XNF_STATUS_CLEARING_MASK 0x00000004u
#define XNF_STATUS_CLEARING_SHIFT 2u
/* Code of the error that ended what was started last, or 0 (docs/accelerator.md). */
#define XNF_STATUS_ERROR_MASK 0x0000ff00u
#define XNF_STATUS_ERROR_SHIFT 8u
/* Field `layer` of the descriptor at hand, or of the last one. */
#define XNF_STATUS_LAYER_MASK 0xff000000u
#define XNF_STATUS_LAYER_SHIFT 24u

/* RW Where a program starts. Locked while `status.busy` or `status.clearing`. */
#define XNF_START_ADDRESS 0x84u
/* Word address in the program memory; only as many bits as that memory needs. */
#define XNF_START_ADDRESS_ADDRESS_MASK 0x000fffffu
#define XNF_START_ADDRESS_ADDRESS_SHIFT 0u

/* RW How often a program runs. Locked while `status.busy` or `status.clearing`. */
#define XNF_RUNS 0x88u
/* Runs; 0 is error `field`. */
#define XNF_RUNS_COUNT_MASK 0x0000ffffu
#define XNF_RUNS_COUNT_SHIFT 0u

/* RW Which bits of `interrupt_status` raise the interrupt. */
#define XNF_INTERRUPT_ENABLE 0x8cu
/* A program has ended well. */
#define XNF_INTERRUPT_ENABLE_DONE_MASK 0x00000001u
#define XNF_INTERRUPT_ENABLE_DONE_SHIFT 0u
/* A program has ended with an error. */
#define XNF_INTERRUPT_ENABLE_ERROR_MASK 0x00000002u
#define XNF_INTERRUPT_ENABLE_ERROR_SHIFT 1u

/* RW1C What has happened, enabled or not. */
#define XNF_INTERRUPT_STATUS 0x90u
/* A program has ended well. */
#define XNF_INTERRUPT_STATUS_DONE_MASK 0x00000001u
#define XNF_INTERRUPT_STATUS_DONE_SHIFT 0u
/* A program has ended with an error. */
#define XNF_INTERRUPT_STATUS_ERROR_MASK 0x00000002u
#define XNF_INTERRUPT_STATUS_ERROR_SHIFT 1u

/* RW1C Why accesses were answered with SLVERR; such a write changes nothing else. */
#define XNF_BUS_ERROR 0x94u
/* A read where no register is. */
#define XNF_BUS_ERROR_READ_ADDRESS_MASK 0x00000001u
#define XNF_BUS_ERROR_READ_ADDRESS_SHIFT 0u
/* A write where no register is that can be written. */
#define XNF_BUS_ERROR_WRITE_ADDRESS_MASK 0x00000002u
#define XNF_BUS_ERROR_WRITE_ADDRESS_SHIFT 1u
/* A write of less than 32 bits. */
#define XNF_BUS_ERROR_WRITE_STROBE_MASK 0x00000004u
#define XNF_BUS_ERROR_WRITE_STROBE_SHIFT 2u
/* A write that is refused while the accelerator is busy. */
#define XNF_BUS_ERROR_WRITE_LOCKED_MASK 0x00000008u
#define XNF_BUS_ERROR_WRITE_LOCKED_SHIFT 3u

/* RW Which performance counter `counter_value` shows. */
#define XNF_COUNTER_SELECT 0x98u
/* The counter (docs/accelerator.md). */
#define XNF_COUNTER_SELECT_CAUSE_MASK 0x00000007u
#define XNF_COUNTER_SELECT_CAUSE_SHIFT 0u
/* The set; only as many bits as the sets need. */
#define XNF_COUNTER_SELECT_LAYER_MASK 0x000007f8u
#define XNF_COUNTER_SELECT_LAYER_SHIFT 3u

/* RO The performance counter that `counter_select` names; of meaning while neither `status.busy` nor `status.clearing`. */
#define XNF_COUNTER_VALUE 0x9cu

#endif
