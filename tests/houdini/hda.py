"""Expanded digital assets (hotl -t) as data: section lists, index, dialog script."""

import os
import re


class Fault(Exception):
    """Text that Houdini would not read."""


def encoded(name):
    """A section's name as the name of its file."""
    return name.replace("_", "__").replace(":", "_8").replace("/", "_1")


def read(path):
    with open(path, encoding="utf-8", newline="") as file:
        text = file.read()
    if "\r" in text:
        raise Fault("%s: has carriage returns" % path)
    return text


def section_list(path):
    """The file names of a Sections.list with the sections they hold."""
    lines = read(path).split("\n")
    if lines[0] != '""' or lines[-1] != "":
        raise Fault('%s: must begin with a line "" and end with a line feed' % path)
    found = {}
    for line in lines[1:-1]:
        if line.count("\t") != 1:
            raise Fault("%s: %r is not FILE<tab>SECTION" % (path, line))
        file, section = line.split("\t")
        found[file] = section
    return found


def index(path):
    """The fields of an INDEX__SECTION with one operator."""
    lines = read(path).split("\n")
    if lines[-2:] != ["", ""]:
        raise Fault("%s: must end with an empty line" % path)
    fields = {}
    for line in lines[:-2]:
        match = re.fullmatch(r"(\w+):( *)(.*)", line)
        if not match or len(match.group(1)) + 1 + len(match.group(2)) != 14:
            raise Fault("%s: %r is no field with its value in column 15" % (path, line))
        fields[match.group(1)] = match.group(3)
    return fields


class Library:
    """An expanded library with one asset."""

    def __init__(self, folder):
        self.folder = folder
        self.sections = section_list(os.path.join(folder, "Sections.list"))
        (self.asset_file,) = set(self.sections) - {"INDEX__SECTION", "houdini.hdalibrary"}
        self.asset_folder = os.path.join(folder, self.asset_file)
        self.asset_sections = section_list(os.path.join(self.asset_folder, "Sections.list"))
        self.index = index(os.path.join(folder, "INDEX__SECTION"))

    def text(self, section):
        return read(os.path.join(self.asset_folder, encoded(section)))

    def dialog(self):
        return Dialog(self.text("DialogScript"))


# ---- Dialog scripts ----

TOKEN = re.compile(r'\s+|#[^\n]*|"(?:[^"\\\n]|\\.)*"|[{}]|[^\s{}"]+')

GROUPS = {"group", "groupsimple", "groupcollapsible", "groupradio"}
TYPES = {
    "button",
    "toggle",
    "integer",
    "float",
    "log",
    "intlog",
    "string",
    "file",
    "image",
    "directory",
    "oppath",
    "ordinal",
    "label",
    "separator",
    "vector",
    "color",
    "intvector2",
}
FLAGS = {"joinnext", "nolabel", "invisible", "export"}
FIELDS = {"name", "label", "type", "default", "help", "menu", "range", "disablewhen", "hidewhen", "parmtag", "size"}


def tokens(text):
    position = 0
    while position < len(text):
        match = TOKEN.match(text, position)
        if not match:
            raise Fault("line %d: %r" % (text.count("\n", 0, position) + 1, text[position : position + 40]))
        position = match.end()
        token = match.group()
        if not token.isspace() and not token.startswith("#"):
            yield token


def unquoted(token):
    return re.sub(r"\\(.)", r"\1", token[1:-1]) if token.startswith('"') else token


def block(stream):
    """What is between braces, as a flat list of strings and lists."""
    content = []
    for token in stream:
        if token == "{":
            content.append(block(stream))
        elif token == "}":
            return content
        else:
            content.append(unquoted(token))
    raise Fault("a brace is not closed")


class Parm:
    def __init__(self, content, folders):
        self.folders, self.flags, self.tags, self.menu, self.fields = folders, set(), {}, {}, {}
        stream = iter(content)
        for word in stream:
            if word in FLAGS:
                self.flags.add(word)
            elif word not in FIELDS:
                raise Fault("parm %s: unknown word %r" % (self.fields.get("name"), word))
            else:
                value = next(stream)
                if word == "parmtag":
                    tag, text = value
                    self.tags[tag] = text
                elif word == "menu":
                    self.menu = dict(zip(value[::2], value[1::2], strict=True))
                else:
                    self.fields[word] = value
        self.name, self.label, self.type = (self.fields[word] for word in ("name", "label", "type"))
        if self.type not in TYPES:
            raise Fault("parm %s: unknown type %r" % (self.name, self.type))
        (self.default,) = self.fields["default"]

    @property
    def limits(self):
        """Smallest and largest value, or None; both must be strict."""
        if "range" not in self.fields:
            return None
        low, high = self.fields["range"]
        if not (low.endswith("!") and high.endswith("!")):
            raise Fault("parm %s: its range is not strict" % self.name)
        return float(low[:-1]), float(high[:-1])

    @property
    def callback(self):
        return self.tags.get("script_callback")


class Dialog:
    """The parameters of a dialog script by name, in their order, and its folders by name with their labels."""

    def __init__(self, text):
        stream = tokens(text)
        if next(stream) != "{":
            raise Fault("must begin with a brace")
        self.parms, self.folders, self.header, self.input_labels = {}, {}, {}, {}
        self._read(block(stream), ())
        if list(stream):
            raise Fault("there is something after the last brace")

    def _read(self, content, folders):
        stream = iter(content)
        for word in stream:
            if word == "parm":
                parm = Parm(next(stream), folders)
                if parm.name in self.parms:
                    raise Fault("there are two parms %s" % parm.name)
                self.parms[parm.name] = parm
            elif word in GROUPS:
                self._group(next(stream), folders)
            elif folders:
                raise Fault("unknown word %r in folder %s" % (word, folders[-1]))
            elif word == "inputlabel":
                number = int(next(stream))
                self.input_labels[number] = next(stream)
            elif word in ("name", "script", "label", "help"):
                self.header[word] = next(stream)
            else:
                raise Fault("unknown word %r" % word)

    def _group(self, content, folders):
        head = {}
        while content and content[0] in ("name", "label", "grouptag", "disablewhen", "hidewhen"):
            head[content[0]] = content[1]
            content = content[2:]
        name = head["name"]
        if name in self.folders:
            raise Fault("there are two folders %s" % name)
        self.folders[name] = head["label"]
        self._read(content, (*folders, name))
