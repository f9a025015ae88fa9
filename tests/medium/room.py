#!/usr/bin/env python3
"""room.py SCENE IMAGE WORK DIGEST

What people do at the medium of ceremony-scripts/make-medium.sh, in QEMU: keys are pressed, and the screen is read, letter
by letter, from its pixels. Called by tests/medium.sh. WORK has font.psf, the letters of the medium, and what the scene
brings; DIGEST is on the paper. The machine has a network card each time, and every instruction is done by software.
"""

import atexit
import collections
import json
import os
import re
import socket
import struct
import subprocess
import sys
import time

KEYS = {" ": "spc", "\n": "ret", "-": "minus", "=": "equal", "/": "slash", ".": "dot", ",": "comma", "'": "apostrophe", ";": "semicolon", "\\": "backslash", "[": "bracket_left", "]": "bracket_right"}
SHIFTED = {"_": "minus", ">": "dot", "<": "comma", "|": "backslash", ":": "semicolon", "*": "8", "&": "7", '"': "apostrophe", "$": "4", "(": "9", ")": "0", "+": "equal"}
PIN = "practice-in-the-room"


def fail(what):
    print(f"FAILED: {what}", file=sys.stderr)
    sys.exit(1)


def held(what):
    print(f"held: {what}", flush=True)


def letters(path):
    """The letter of each picture of 8 by 16 in a font (PSF 1)."""
    font = open(path, "rb").read()
    mode, height = font[2], font[3]
    count = 512 if mode & 1 else 256
    table = struct.unpack(f"<{(len(font) - 4 - count * height) // 2}H", font[4 + count * height :])
    found, glyph, first = {}, 0, True
    for code in table:
        if code == 0xFFFF:
            glyph, first = glyph + 1, True
        elif first:
            found.setdefault(font[4 + glyph * height : 4 + (glyph + 1) * height], chr(code))
            first = False
    return found


class Machine:
    def __init__(self, work, arguments):
        self.work, self.letters, self.begun = work, letters(f"{work}/font.psf"), time.monotonic()
        control = f"{work}/control"
        if os.path.exists(control):
            os.unlink(control)
        self.process = subprocess.Popen(
            ["qemu-system-x86_64", "-accel", "tcg", "-m", "1024", "-smp", "2", "-nic", "user,model=e1000", "-display", "none"]
            + ["-qmp", f"unix:{control},server=on,wait=off", "-no-reboot"] + arguments
        )
        atexit.register(self.process.kill)
        self.socket = socket.socket(socket.AF_UNIX)
        for _ in range(100):
            try:
                self.socket.connect(control)
                break
            except OSError:
                time.sleep(0.1)
        self.answers = self.socket.makefile("r")
        self.answers.readline()
        self.ask("qmp_capabilities")

    def ask(self, command, **arguments):
        self.socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        while True:
            answer = json.loads(self.answers.readline())
            if "event" not in answer:
                return answer

    def press(self, key, held=""):
        def event(key, down):
            return {"type": "key", "data": {"down": down, "key": {"type": "qcode", "data": key}}}

        events = [event(key, True), event(key, False)]
        if held:
            events = [event(held, True), *events, event(held, False)]
        for one in events:
            self.ask("input-send-event", events=[one])
            time.sleep(0.02)

    def type(self, text):
        for letter in text:
            if letter in SHIFTED:
                self.press(SHIFTED[letter], "shift")
            elif letter in KEYS:
                self.press(KEYS[letter])
            else:
                self.press(letter.lower(), "shift" if letter.isupper() else "")

    def screen(self):
        """The lines on the screen; what is no letter of the font reads as a question mark."""
        path = f"{self.work}/screen.ppm"
        self.ask("screendump", filename=path)
        picture = open(path, "rb").read()
        head = re.match(rb"P6\s+(\d+)\s+(\d+)\s+255\s", picture)
        if head is None or len(picture) < head.end() + 3 * int(head[1]) * int(head[2]):
            return []  # between two modes there is no picture
        wide, high = int(head[1]), int(head[2])
        size = 2 if wide >= 1280 else 1  # there each dot of a letter has four
        cell = 9 if wide == 720 else 8 * size
        pixels, lines = picture[head.end() :], []
        for top in range(0, high - 16 * size + 1, 16 * size):
            line = []
            rows = [pixels[(top + y * size) * wide * 3 : (top + y * size + 1) * wide * 3] for y in range(16)]
            for left in range(0, wide - 8 * size + 1, cell):
                dots = [[row[(left + x * size) * 3 : (left + x * size) * 3 + 3] for x in range(8)] for row in rows]
                paper = collections.Counter(dot for row in dots for dot in row).most_common(1)[0][0]
                picture_of = bytes(sum((dots[y][x] != paper) << (7 - x) for x in range(8)) for y in range(16))
                line.append(self.letters.get(picture_of, "?") if any(picture_of) else " ")
            lines.append("".join(line).rstrip())
        return lines

    def wait(self, until, seconds, what):
        """Until the test of the lines holds."""
        end = time.monotonic() + seconds
        while True:
            if self.process.poll() is not None:
                fail(f"the machine ended before: {what}")
            lines = self.screen()
            if until(lines):
                return lines
            if time.monotonic() > end:
                fail(f"{what} was not seen:\n" + "\n".join(lines))
            time.sleep(0.3)

    def see(self, text, seconds=120):
        return self.wait(lambda lines: any(text in line for line in lines), seconds, text)

    def answer(self, question, text):
        def last(lines):
            left = [line for line in lines if line.strip(" ?")]
            return left and question in left[-1]  # what is typed before the question is no answer

        self.wait(last, 120, f"the question {question}")
        self.type(text + "\n")

    def prompt(self, seconds=120, what="the prompt"):
        def last(lines):
            left = [line for line in lines if line.strip(" ?")]
            return left and re.fullmatch(r"officer:\S*>[ ?]*", left[-1])

        return self.wait(last, seconds, what)

    def do(self, command, *says, seconds=120, answers=()):
        """A command at the prompt, the answers to its questions, and what is on the screen at the end."""
        self.type(command + "\n")
        for question, answer in answers:
            self.answer(question, answer)
        time.sleep(0.3)
        lines = self.prompt(seconds, f"the end of {command}")
        text = "\n".join(lines)
        for said in says:
            if said not in text and said not in "".join(lines):  # the screen folds what is longer
                fail(f"{command} does not say: {said}\n{text}")
        return lines

    def rows(self):
        """The digest that the first screen shows."""
        lines = self.see("row 8", 150)
        told = re.findall(r"row [1-8]   ([0-9a-f]{4}) ([0-9a-f]{4})", "\n".join(lines))
        return "".join(a + b for a, b in told)

    def ends(self):
        self.answer("Switch off, and forget everything", "yes")
        self.see("1. Take the cards and the HSM away")
        self.press("ret")
        try:
            self.process.wait(120)
        except subprocess.TimeoutExpired:
            fail("the power does not go off:\n" + "\n".join(self.screen()))


def begin(machine, digest, keyboard=""):
    shown = machine.rows()
    seconds = time.monotonic() - machine.begun
    if shown != digest:
        fail(f"the first screen shows {shown}, the image has {digest}")
    print(f"measured: {seconds:.0f} s from power to the first screen", flush=True)
    machine.answer("Keyboard", keyboard)
    if keyboard:
        machine.answer(f"The keyboard is {keyboard}.", "zes")  # the key that says z here says y on a German keyboard
        machine.answer("Keyboard", "")
    machine.answer("Are all 8 rows", "yes" if not keyboard else "zes")
    machine.answer("Enter if it is right", "")
    machine.prompt()


def stick(path):
    name = os.path.basename(path).split(".")[0]
    return ["-drive", f"if=none,id={name},format=raw,file={path}", "-device", f"usb-storage,drive={name},removable=on"]


def room(image, work, digest):
    """The ISO as a DVD, by BIOS: a rehearsal, and a ceremony without people whose record is carried out."""
    machine = Machine(work, ["-boot", "d", "-cdrom", image, "-device", "qemu-xhci", "-device", "usb-ccid"] + stick(f"{work}/plans.img") + stick(f"{work}/records.img") + stick(f"{work}/hostile.iso"))
    begin(machine, digest)
    held("the ISO starts by BIOS, and its first screen shows the SHA-256 of the image")
    machine.do("ls -m /sys/class/net; wc -l < /proc/swaps; id -un", "\nlo\n1\nofficer\n")
    machine.do("cut -d : -f 1 /proc/net/dev | tail -n +3", "\n    lo\n")
    machine.do("touch /etc/more", "Permission denied")
    machine.do("head -c 1 /dev/sr0", "Permission denied")
    machine.do("ls /usr/lib/modules/*/kernel/drivers", "usb")
    machine.do("grep -E ' (rw|rw,.*) 0 0$' /proc/mounts | cut -d ' ' -f 2,3 | sort | tr '\\n' ' '; echo", "/ rootfs /ceremony tmpfs /dev devtmpfs /dev/pts devpts /dev/shm tmpfs /proc proc", "/run tmpfs /sys sysfs /tmp tmpfs")
    held("there is no interface but lo and no swap, and whoever types is not root")
    machine.do("readers", "a card reader")
    machine.do("byok rehearse > rehearsal.txt; grep -cE ' (proved|opened)$' rehearsal.txt", "\n4\n", seconds=900)
    machine.do("grep refused rehearsal.txt", "refused")
    held("byok rehearses a whole life")

    machine.do("sticks", "PLANS", "RECORDS")
    machine.do("open PLANS", "/media/PLANS", answers=[("for reading?", "yes")])
    machine.do("touch /media/PLANS/x", "Read-only file system")
    machine.do("cp /media/PLANS/hostile .; ./hostile", "the console: Permission denied", "a namespace: No space left on device")
    machine.do("sleep 6; ls pushed stayed", "cannot access 'pushed'", "cannot access 'stayed'")
    machine.type("$(touch /ceremony/pushed)")
    machine.press("esc")
    machine.press("e", "ctrl")  # a shell would run it and show what it says
    machine.do("", "do nothing here")
    machine.do("ls pushed", "cannot access 'pushed'")
    machine.do("printf '\\033[20h\\033[30;40m\\033[8]'; kill -STOP $$", "officer:/ceremony>")  # goes on; and is seen
    machine.do("yes", "There is no question now")
    machine.do("open HOSTILE", "/media/HOSTILE", answers=[("for reading?", "yes")])
    machine.do("ls /run/owned", "cannot access '/run/owned'")
    machine.do("close HOSTILE", "may be pulled")
    held("nothing that the officer runs has the console, types there, or stays; and the console runs no part of a line or of a name")
    machine.do("cp -r /media/PLANS/inputs /media/PLANS/plan.toml /media/PLANS/pin .; chmod 600 pin; ls", "plan.toml")
    machine.do("token ceremony", "SoftHSM keeps its keys", answers=[("PIN of the new", PIN), ("same again", PIN)])
    machine.do("byok check --hsm plan.toml > check.txt; grep -A 1 medium check.txt; tail -n 1 check.txt", digest, "byok run would start", seconds=600)
    approved = subprocess.run(["sha256sum"], stdin=open(f"{work}/plan.toml"), capture_output=True, text=True).stdout[:64]
    machine.do(f"byok run plan.toml --approve {approved} > head.txt 2> run.txt; cut -c 66- head.txt", "record/transcript.jsonl", seconds=600)
    machine.do("grep -A 2 'this computer: ' run.txt", "byok's medium with SHA-256")
    machine.do("close PLANS", "may be pulled")
    held("a ceremony is held without people, with a module that lies on a stick")
    machine.type("show record/transcript.html\n")
    machine.see("Medium test")
    machine.type("q")
    machine.prompt()
    machine.do("off", "ON NO STICK as it is here: record", answers=[("forget everything", "no")])
    machine.do("carry RECORDS record shares", "files read back from the stick", "may be pulled", answers=[("Write record shares to", "yes")])
    machine.do("touch record/more")
    machine.do("carry RECORDS record", "nothing is overwritten", "record IS NOT ON THE STICK AS IT IS HERE", answers=[("Write record to", "yes")])
    machine.do("rm record/more")
    machine.do("carry RECORDS rec*", "nothing is overwritten", "files read back from the stick", answers=[("Write rec* to", "yes")])
    machine.do("off", "on one stick alone: record", answers=[("forget everything", "no")])
    machine.do("cd target", "officer:/ceremony/target")
    machine.do("cd ..", "officer:/ceremony>")
    machine.type("off\n")
    machine.ends()
    held("record and shares are carried out and read back, and the power goes off")


def uefi(image, work, digest):
    """The ISO as a stick, by UEFI with Secure Boot, at a German USB keyboard."""
    firmware = "/usr/share/OVMF/OVMF_%s_4M.ms.fd"
    subprocess.run(["cp", firmware % "VARS", f"{work}/vars.fd"], check=True)
    machine = Machine(work, ["-machine", "q35,smm=on", "-global", "driver=cfi.pflash01,property=secure,value=on"]
        + ["-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={firmware % 'CODE'}", "-drive", f"if=pflash,unit=1,format=raw,file={work}/vars.fd"]
        + ["-device", "qemu-xhci", "-device", "usb-kbd", "-drive", f"if=none,id=medium,format=raw,readonly=on,file={image}"]
        + ["-drive", f"if=none,id=other,format=raw,readonly=on,file={work}/other.iso"]
        + ["-device", "usb-storage,drive=other,removable=on,bootindex=1,id=twin", "-device", "usb-storage,drive=medium,removable=on,bootindex=0"])
    machine.see("The medium cannot be read back: 2 disks", 240)
    machine.ask("device_del", id="twin")
    time.sleep(3)
    machine.press("ret")
    begin(machine, digest, "de")
    held("another stick that is called like the medium does not start, and is named")
    machine.press("l")
    machine.press("s")
    machine.type(" ")
    machine.press("slash", "shift")  # an underscore on a German keyboard
    machine.press("ret")
    machine.see("'_'")
    machine.prompt()
    machine.do("touch kept")
    machine.do("off", "ON NO STICK as it is here: kept", answers=[("forget everything", "no")])  # no stick was ever opened
    machine.type("off\n")
    machine.answer("forget everything", "zes")
    machine.see("1. Take the cards")
    machine.press("ret")
    machine.process.wait(120)
    held("the ISO starts from a stick by UEFI with Secure Boot; the keyboard is the one that was named")


def changed(image, work, digest):
    """A medium with one other byte shows other rows; a computer whose medium is gone shows none."""
    machine = Machine(work, ["-boot", "d", "-cdrom", image])
    if machine.rows() == digest:
        fail("a changed medium shows the rows of the paper")
    machine.process.kill()
    machine.process.wait()
    machine = Machine(work, ["-kernel", f"{work}/vmlinuz", "-initrd", f"{work}/initrd", "-append", "byok.medium=0 console=tty1 quiet vga=normal"])
    machine.see("The medium cannot be read back: 0 disks", 240)
    machine.process.kill()
    held("a changed medium shows other rows, and without a medium there are none")


if __name__ == "__main__":
    scene, image, work, digest = sys.argv[1:]
    {"room": room, "uefi": uefi, "changed": changed}[scene](image, work, digest)
