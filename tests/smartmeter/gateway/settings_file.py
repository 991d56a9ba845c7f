"""A gateway's settings file that works, to be changed, and the files that it names."""

from pathlib import Path

WORKS = {
    "gateway": {"data": '"{folder}"'},
    "module": {"esn": '"SM1"', "key_file": '"{folder}/key"'},
    "meter": {"port": '"/dev/smartmeter0"'},
}


def settings_file(folder: Path, sections: dict[str, dict[str, str]]) -> Path:
    (folder / "key").write_text("00" * 16)
    (folder / "public").write_text("00" * 32)
    (folder / "octets").write_bytes(b"\xff\xfe")
    (folder / "words").write_text("secret\nwords")
    (folder / "empty").write_text("\n")
    text = "".join(
        f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in values.items())
        for name, values in sections.items()
    )
    path = folder / "g.toml"
    path.write_text(text.replace("{folder}", str(folder)))
    return path
