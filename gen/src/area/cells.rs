//! Area of standard cells, by a Liberty file.

use super::{Area, AreaError, Verilog, file_error, synthesize, work_folder};
use crate::area::TIME_LIMIT;
use crate::area::netlist::Module;
use crate::liberty::{LibertyError, Library};
use crate::tools::Found;
use std::fs;
use std::path::{Path, PathBuf};
use xnorforge_hdl::Target;
use xnorforge_hdl::fabric::AdderCells;

/// What a run's copy of the Liberty file is called: Yosys' script cannot quote any name that a file may have.
const LIBERTY: &str = "cells.lib";

/// A library of standard cells that designs are mapped to.
#[derive(Clone, Debug)]
pub struct Cells {
    path: PathBuf,
    library: Library,
}

impl Cells {
    /// Reads a Liberty file and checks that it has the cells that every design needs.
    ///
    /// # Errors
    /// [`LibertyError`].
    pub fn read(path: &Path) -> Result<Self, LibertyError> {
        let library = Library::read(path)?;
        library.check()?;
        Ok(Self {
            path: path.to_owned(),
            library,
        })
    }

    /// The library's name.
    pub fn name(&self) -> &str {
        &self.library.name
    }

    /// Its adders.
    pub fn adders(&self) -> AdderCells {
        self.library.adder_cells()
    }

    /// The Yosys commands that map a design with top module `top` to these cells. Adder cells that stand in the design
    /// stay.
    pub fn synthesis(top: &str) -> String {
        format!(
            "read_liberty -lib {LIBERTY}; synth -flatten -top {top}; dfflibmap -liberty {LIBERTY}; \
             abc -liberty {LIBERTY}; opt_clean -purge"
        )
    }

    /// Synthesizes `verilog` and sums up its cells' areas.
    ///
    /// # Errors
    /// [`AreaError`].
    pub fn measure(&self, yosys: &Found, verilog: &Verilog) -> Result<Area, AreaError> {
        let folder = work_folder()?;
        self.copy_to(folder.path())?;
        let commands = Self::synthesis(&verilog.top);
        match synthesize(yosys, verilog, &commands, folder.path(), TIME_LIMIT) {
            Ok(mut netlist) => {
                let module = netlist.modules.remove(&verilog.top).unwrap_or_default();
                Ok(self.count(&module))
            }
            Err(error) => {
                if matches!(error, AreaError::Tool(_) | AreaError::Netlist { .. }) {
                    // The log that the error names can be read.
                    let _kept = folder.keep();
                }
                Err(error)
            }
        }
    }

    /// Puts the file where a run's commands find it.
    pub(super) fn copy_to(&self, folder: &Path) -> Result<(), AreaError> {
        let copied = fs::copy(&self.path, folder.join(LIBERTY));
        copied.map(drop).map_err(|e| file_error(&self.path, e))
    }

    /// What a module takes, without the modules below it.
    pub(super) fn count_module(&self, module: &Module) -> Area {
        let of_library = |kind: &String| self.library.cell(kind).is_some();
        let mut area = self.count_cells(module, of_library);
        area.cells.retain(|kind, _| of_library(kind));
        area
    }

    fn count(&self, module: &Module) -> Area {
        self.count_cells(module, |_| true)
    }

    fn count_cells(&self, module: &Module, is_counted: impl Fn(&String) -> bool) -> Area {
        let mut area = Area {
            cell_area: Some(0.0),
            ..Area::of_module(Target::Asic, module)
        };
        (area.sites, area.ff) = (0, 0);
        for (kind, number) in area.cells.iter().filter(|(kind, _)| is_counted(kind)) {
            let cell = self.library.cell(kind);
            match cell.is_some_and(|cell| cell.flip_flop.is_some()) {
                true => area.ff += number,
                false => area.sites += number,
            }
            // One cell of unknown area, and the sum is not known.
            let each = cell.and_then(|cell| cell.area);
            area.cell_area = area
                .cell_area
                .zip(each)
                .map(|(sum, each)| sum + *number as f64 * each);
        }
        area.sites_max = area.sites;
        area
    }
}
