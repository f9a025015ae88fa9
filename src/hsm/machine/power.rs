//! Whether the machine runs on a battery, according to Linux (/sys/class/power_supply).

use std::fs;
use std::path::Path;

/// The lowest charge, in percent, among the batteries that are discharging; `None` if none is.
pub(crate) fn on_battery(supplies: &Path) -> Option<u8> {
    let supplies = fs::read_dir(supplies).ok()?;
    supplies
        .flatten()
        .filter_map(|supply| discharging(&supply.path()))
        .min()
}

fn discharging(supply: &Path) -> Option<u8> {
    let says = |name: &str| {
        let text = fs::read_to_string(supply.join(name)).unwrap_or_default();
        text.trim().to_owned()
    };
    // `scope` is `Device` for the battery of a mouse or keyboard
    let of_this_machine = says("type") == "Battery" && says("scope") != "Device";
    (of_this_machine && says("status") == "Discharging")
        .then(|| says("capacity").parse().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_discharging_battery_of_the_machine_itself_counts() {
        let room = tempfile::tempdir().unwrap();
        let supply = |name: &str, files: &[(&str, &str)]| {
            let directory = room.path().join(name);
            fs::create_dir(&directory).unwrap();
            for (file, text) in files {
                fs::write(directory.join(file), format!("{text}\n")).unwrap();
            }
        };
        assert_eq!(on_battery(room.path()), None);
        supply("AC", &[("type", "Mains"), ("online", "0")]);
        let mouse = [
            ("type", "Battery"),
            ("scope", "Device"),
            ("status", "Discharging"),
        ];
        supply("mouse", &mouse);
        supply(
            "BAT0",
            &[
                ("type", "Battery"),
                ("status", "Charging"),
                ("capacity", "12"),
            ],
        );
        assert_eq!(on_battery(room.path()), None);
        supply(
            "BAT1",
            &[
                ("type", "Battery"),
                ("status", "Discharging"),
                ("capacity", "57"),
            ],
        );
        assert_eq!(on_battery(room.path()), Some(57));
        assert_eq!(on_battery(&room.path().join("absent")), None);
    }
}
