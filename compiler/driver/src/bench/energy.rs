//! Energy of a device, from the counter that NVIDIA's management library keeps; nothing where library or counter are missing.

use nvml_wrapper::Nvml;

/// The counter of one device.
#[derive(Debug)]
pub struct EnergyMeter {
    nvml: Nvml,
    uuid: String,
}

impl EnergyMeter {
    /// The meter of the device with this id.
    pub fn open(uuid: [u8; 16]) -> Option<EnergyMeter> {
        let meter = EnergyMeter { nvml: Nvml::init().ok()?, uuid: spell(uuid) };
        meter.millijoules()?;
        Some(meter)
    }

    /// Millijoules since the driver was loaded.
    pub fn millijoules(&self) -> Option<u64> {
        self.nvml.device_by_uuid(self.uuid.as_str()).ok()?.total_energy_consumption().ok()
    }
}

/// `GPU-00112233-4455-6677-8899-aabbccddeeff`
fn spell(uuid: [u8; 16]) -> String {
    let mut out = "GPU".to_string();
    for (k, byte) in uuid.iter().enumerate() {
        if matches!(k, 0 | 4 | 6 | 8 | 10) {
            out.push('-');
        }
        out.push_str(&format!("{byte:02x}"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_spelled_as_the_library_has_them() {
        let bytes = [0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xAA, 0xBB, 0xCC, 0xDD, 0xEE, 0xFF];
        assert_eq!(spell(bytes), "GPU-00112233-4455-6677-8899-aabbccddeeff");
    }

    #[test]
    fn a_device_that_is_not_there_has_no_meter() {
        assert!(EnergyMeter::open([0; 16]).is_none());
    }
}
