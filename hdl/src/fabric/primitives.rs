//! Simulation models of device primitives, for simulation and proofs only: synthesizers bring their own.

/// Models of Xilinx' primitives: file name and Verilog.
pub const XILINX: [(&str, &str); 9] = [
    ("LUT1.v", include_str!("primitives/LUT1.v")),
    ("LUT2.v", include_str!("primitives/LUT2.v")),
    ("LUT3.v", include_str!("primitives/LUT3.v")),
    ("LUT4.v", include_str!("primitives/LUT4.v")),
    ("LUT5.v", include_str!("primitives/LUT5.v")),
    ("LUT6.v", include_str!("primitives/LUT6.v")),
    ("LUT6_2.v", include_str!("primitives/LUT6_2.v")),
    ("CARRY4.v", include_str!("primitives/CARRY4.v")),
    ("CARRY8.v", include_str!("primitives/CARRY8.v")),
];
