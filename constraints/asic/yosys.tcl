# Synthesis of {{top}} to standard cells. Written by {{generator}}; do not edit.
# Run it in the folder of manifest.json, with the path of a Liberty file; of the one given to `generate`, if one was:
#     mkdir -p build && LIBERTY=cells.lib yosys -c scripts/yosys_asic.tcl
yosys -import
if {![info exists ::env(LIBERTY)]} {
    error "set LIBERTY to the path of the standard cells' Liberty file"
}
set liberty $::env(LIBERTY)
read_liberty -lib -ignore_miss_func $liberty
foreach file [list {{verilog_list}}] {
    read_verilog $file
}
hierarchy -check -top {{top}}
yosys check -assert
synth -top {{top}} -flatten
dfflibmap -liberty $liberty
# With a driver of the inputs and a load of the outputs (in fF) ABC buffers nets and sizes gates; the clock period is in
# picoseconds. The driver is the library's smallest inverter.
proc inverter {file} {
    set channel [open $file]
    set text [read $channel]
    close $channel
    regsub -all {/\*.*?\*/} $text {} text
    regsub -all {\mcell\s*\(} $text "\x01" text
    set best {}
    foreach cell [lrange [split $text "\x01"] 1 end] {
        if {![regexp {^\s*"?([^"\s)]+)} $cell -> name]
            || [regexp -all {\mdirection\s*:\s*"?input} $cell] != 1
            || [regexp -all {\mfunction\s*:} $cell] != 1
            || [regexp {\m(ff|latch|ff_bank|latch_bank|statetable)\s*\(|\mthree_state\s*:} $cell]
            || ![regexp {\mfunction\s*:\s*"[\s(]*(!\s*\(?\s*\w+|\w+[\s)]*')[\s)]*"} $cell]} {
            continue
        }
        set area Inf
        regexp {\marea\s*:\s*"?([0-9.eE+-]+)} $cell -> area
        if {$best eq {} || $area < $least} {
            set best $name
            set least $area
        }
    }
    if {$best eq {}} {
        error "the Liberty file has no inverter (function \"!A\" of one input)"
    }
    return $best
}
set constraints [open build/abc.constr w]
puts $constraints "set_driving_cell [inverter $liberty]\nset_load 20"
close $constraints
abc -D {{clock_period_ps}} -liberty $liberty -constr build/abc.constr
# OpenSTA reads no concatenation on the left of an assignment.
splitnets
opt_clean -purge
yosys check -assert
stat -liberty $liberty
write_verilog -noattr -simple-lhs build/{{top}}_asic.v
