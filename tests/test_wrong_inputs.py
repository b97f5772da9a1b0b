"""Wrong input of every verb: its name, what is given, and the one line that comes with status 2. Nothing hangs."""

import os
import re
import shlex
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import __main__ as console
from benchmarks.sweeps import sweep
from benchmarks.training import model, task_files

MANY = ",".join(map(str, range(1, 1001)))
DEEP, BOMB = (
    "[" * 100_000,
    "a: &a [1, 1, 1, 1, 1, 1, 1, 1]\n"
    + "\n".join(f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 8)}]" for n in range(8)),
)
QUICK = "--methods linear --tasks digits"
FILES = {  # in the folder where every command runs
    "a.yaml": "methods: linear\ntasks: digits\n",
    "alias.yaml": BOMB,
    "aliases.yaml": "a: &a [*a]",
    "deep.yaml": DEEP,
    "long.yaml": "methods: " + "x" * 200_000,
    "list.yaml": "- lora",
    "empty.yaml": "",
    "open.yaml": "methods: [",
    "field.yaml": "method: lora",
    "seeds.yaml": "seeds: one",
    "octal.yaml": "seeds: 010",
    "recipe.yaml": "recipe: 3",
    "set.yaml": "set: {lora: [3]}",
    "time.yaml": "recipe: {epochs: 1:30}",
    "nul.yaml": "\x00",
    "number.yaml": "set: {lora: {1: 2}}",
    "null.yaml": "null: 2",
    "key.yaml": "? [a, b]\n: 2",
    "double.yaml": "methods: lora\nmethods: ssf",
    "object.yaml": "methods: !!python/object/apply:os.system [date]",
    "binary.yaml": "methods: !!binary bG9yYQ==",
    "merge.yaml": "recipe:\n  <<: {epochs: 1}",
    "two.yaml": "methods: lora\n---\nmethods: ssf",
    "configs/offline/linear/digits.json": DEEP,
    "deep/runs/offline/digits/linear-s0-0.json": DEEP,
    "text.safetensors": "no tensors",
    "weights/vit_nano.checkpoint": "no checkpoint",
    "text.db": "no database" * 1000,
}
PIPES = ("pipe.yaml", "pipe.safetensors", "pipe/runs/offline/digits/linear-s0-0.json", "piped/vit_nano.checkpoint")
HELP = "; python -m benchmarks.{} --help shows what can be given"
ROWS = {
    "no such verb": ("rnu --methods lora", "unknown verb 'rnu'; did you mean 'run'? known: ..."),
    "options before the verb": ("--methods lora run", "unknown verb '--methods'; did you mean 'method'? known: ..."),
    # names
    "no such method": ("run --methods lroa", "unknown method 'lroa'; did you mean 'lora'? known: adapter, ..."),
    "an empty method": ("run --methods ''", "unknown method ''; known: adapter, ..."),
    "a name that turns the direction of the line": (
        "run --methods 'lo\u202era\x1b[31m'",
        r"unknown method 'lo\u202era\x1b[31m'; ...",
    ),
    "no such suite": ("run --suite ofline", "unknown suite 'ofline'; did you mean 'offline'? known: ..."),
    "no such task": ("run --tasks digit", "suite offline: unknown task 'digit'; did you mean 'digits'? known: ..."),
    "no such backbone": (
        "run --backbone vit_nanoo",
        "unknown backbone 'vit_nanoo'; did you mean 'vit_nano'? known: ...",
    ),
    "no such point backbone": (
        "run --tasks solids --backbone point_foo",
        "unknown backbone 'point_foo'; did you mean 'point_nano'? known: ...",
    ),
    "a point backbone on images": (
        "run --tasks digits --backbone point_foo",
        "backbone 'point_foo' takes point clouds, but the tasks asked for have images; leave it out",
    ),
    "a backbone without its file": (
        "run --backbone vit_nano@",
        "backbone 'vit_nano@' names no file after the @; give NAME@FILE, or leave the @ out",
    ),
    "two image backbones": (
        "run --tasks digits --backbone vit_nano vit_tiny_patch16_224",
        "two backbones for images: vit_nano and vit_tiny_patch16_224; give one of them",
    ),
    "weights that are not there": (
        "run --backbone vit_nano@none.pth",
        "weights of backbone 'vit_nano' are missing: none.pth ...",
    ),
    "weights in a pipe": (
        "run --backbone vit_nano@pipe.safetensors",
        "weights of backbone 'vit_nano' are missing: pipe.safetensors ...",
    ),
    "weights in a device": (
        "run --backbone vit_nano@/dev/zero",
        "weights of backbone 'vit_nano' are missing: /dev/zero ...",
    ),
    "a name of two weights": (
        "run --backbone vit_base_patch16_224_in21k",
        "'vit_base_patch16_224_in21k' now stands for other weights ...",
    ),
    "a convolutional network": ("run --tasks digits --backbone resnet18", "backbone 'resnet18' is not supported: ..."),
    "blocks that cannot be wired": (
        "run --tasks digits --backbone vit_small_patch16_18x2_224",
        "backbone 'vit_small_patch16_18x2_224' is not supported: its blocks are ParallelThingsBlock; ...",
    ),
    "a size that the patches do not divide": (
        "run --tasks digits --backbone vit_small_patch14_dinov2:225",
        "backbone 'vit_small_patch14_dinov2:225': the size must be a multiple of the patches' 14 pixels",
    ),
    "a size of clouds": (
        "run --tasks solids --backbone point_nano:32",
        "backbone 'point_nano:32' takes point clouds, which have no size in pixels; leave :32 out",
    ),
    "weights that hold nothing": (
        "run --tasks digits --backbone vit_nano@empty.yaml",
        "cannot load empty.yaml into backbone 'vit_nano': refused empty.yaml: ...",
    ),
    "a method of no task": ("run --methods convpass --tasks solids", "method 'convpass' works only on image, but ..."),
    "no such type of PEFT": ("run --methods hf:lra", "unknown method 'hf:lra'; did you mean 'hf:lora'? known: ..."),
    "an unsuited type of PEFT": ("run --methods hf:xlora", "method 'hf:xlora' does not work here: ..."),
    # options of methods
    "no such option": ("run --set lora.rnk=4", "lora: unknown option 'rnk'; did you mean 'rank'? known: ..."),
    "an option without a method": ("run --set rank=4", "--set rank: give METHOD.OPTION=VALUE, as in lora.rank=16"),
    "an option without a value": ("run --set lora.rank", "--set lora.rank: give NAME=VALUE"),
    "an option with an empty value": ("run --set lora.rank=", "--set lora.rank=: give NAME=VALUE"),
    "an option of another method": (
        "run --set ssf.lr=1",
        "options set for 'ssf', which is not among the methods: adapterx, lora",
    ),
    "a word as a number": ("run --set lora.rank=many", "lora: rank='many' must be of type int"),
    "an octal number": ("run --set lora.rank=010", "lora: rank='010' must be of type int"),
    "a hexadecimal number": ("run --set lora.rank=0x10", "lora: rank='0x10' must be of type int"),
    "a time as a number": ("run --set lora.rank=1:30", "lora: rank='1:30' must be of type int"),
    "an octal rate": ("run --set lora.lr=010", "lora: lr='010' must be a finite number"),
    "a rate that is no number": ("run --set lora.lr=.nan", "lora: lr='.nan' must be a finite number"),
    "an endless rate": ("run --set lora.lr=1e999", "lora: lr=inf must be a finite number"),
    "a negative rate": ("run --set lora.lr=-1", "lora: lr=-1.0 must be positive"),
    "a switch as a rate": ("run --set lora.lr=true", "lora: lr=True must be a finite number"),
    "a rank of nothing": ("run --set lora.rank=0", "lora: rank=0 must be at least 1"),
    "a rank of a billion": ("run --set lora.rank=1000000000", "lora: rank=1000000000 must be at most 1000000"),
    "a number of fifty digits": (f"run --set lora.rank={'9' * 50}", "lora: rank=1e+50 must be of type int"),
    "a mapping as a number": ("run --set 'lora.rank={a: 1}'", "lora: rank={'a': 1} must be of type int"),
    "a value that is no YAML": (
        "run --set lora.rank=[4",
        "--set lora.rank=[4: no YAML value: ...; quote it, or give [A, B]",
    ),
    "deep brackets": (
        f"run --set lora.rank={'[' * 1000}",
        "--set ...: no YAML value: line 1: more than 20 levels of nesting; ...",
    ),
    "no value to sweep over": ("run --set lora.rank=[]", "rank=[] has no value to run; give one, or leave rank out"),
    "an option twice": (
        "run --set lora.rank=4 lora.rank=8",
        "--set lora.rank=8: lora.rank is given twice; give one value, or a list as in [A, B]",
    ),
    "targets that do not exist": (
        "run --set lora.targets=[nope]",
        "lora: unknown targets 'nope'; known: fc1, fc1_g, fc1_x, fc2, k, proj, q, v",
    ),
    "targets of PEFT that do not exist": (
        "run --methods hf:lora --tasks digits --set hf:lora.target_modules=[nope]",
        "backbone 'vit_nano': hf:lora: unknown target_modules 'nope'; known: ...",
    ),
    "a negative rank of PEFT": (
        "run --methods hf:lora --tasks digits --set hf:lora.r=-1",
        "backbone 'vit_nano': hf:lora: PEFT refuses this backbone: `r` should be a positive integer ...",
    ),
    "heads that do not divide the width": (
        "run --methods adapterx --tasks digits --set adapterx.heads=5",
        "backbone 'vit_nano': adapterx: heads=5 must divide the token width 96",
    ),
    "groups that do not divide the width": (
        "run --methods repadapter --tasks digits --set repadapter.groups=5 repadapter.hidden=5",
        "backbone 'vit_nano': repadapter: groups=5 must divide the token width 96",
    ),
    "a block that does not exist": (
        "run --methods idpt --tasks solids --set idpt.block=99",
        "backbone 'point_nano': idpt: block=99 must be from 1 to ...",
    ),
    "a search that never ends": (
        "run --methods noah --set noah.rounds=1000000000",
        "noah: rounds=1000000000 must be at most 10000",
    ),
    # the recipe
    "no such field": ("run --recipe epoch=3", "recipe: unknown option 'epoch'; did you mean 'epochs'? known: ..."),
    "a field without a value": ("run --recipe epochs", "--recipe epochs: give NAME=VALUE"),
    "negative epochs": ("run --recipe epochs=-3", "recipe: epochs=-3 must be at least 1"),
    "a billion epochs": ("run --recipe epochs=1000000000", "recipe: epochs=1000000000 must be at most 100000"),
    "a rate as epochs": ("run --recipe epochs=1e1", "recipe: epochs=10.0 must be of type int"),
    "a time as epochs": ("run --recipe epochs=1:30", "recipe: epochs='1:30' must be of type int"),
    "epochs twice": (
        "run --recipe epochs=1 epochs=2",
        "--recipe epochs=2: epochs is given twice; give one value, or a list as in [A, B]",
    ),
    "a batch of one": ("run --recipe batch_size=1", "recipe: batch_size=1 must be at least 2"),
    "a batch of a billion": (
        "run --recipe batch_size=1000000000",
        "recipe: batch_size=1000000000 must be at most 65536",
    ),
    "more warm-up than epochs": ("run --recipe epochs=2", "recipe: warmup_epochs=2 must be from 0 to epochs - 1 = 1"),
    "every sample skipped": ("run --recipe drop_path=1", "recipe: drop_path=1.0 must be below 1"),
    "negative smoothing": (
        "run --recipe label_smoothing=-0.1",
        "recipe: label_smoothing=-0.1 must be a finite number that is not negative",
    ),
    "a rule that does not exist": (
        "run --recipe checkpoint_rule=best",
        "recipe: unknown checkpoint_rule 'best'; did you mean 'best_val'? known: ...",
    ),
    "choosing on what is trained on": (
        "run --recipe checkpoint_rule=best_val",
        "recipe: checkpoint_rule=best_val chooses the epoch on val; ...",
    ),
    "a billion votes": (
        "run --tasks solids --recipe votes=1000000000",
        "recipe: votes=1000000000 must be at most 1000",
    ),
    "votes on images": (
        "run --tasks digits --recipe votes=2",
        "recipe: votes=2 is for point clouds, but task 'digits' has images; use votes=1",
    ),
    "a rotation of images": (
        "run --tasks digits --recipe augment=rotate",
        "recipe: augment=rotate is for point clouds, but task 'digits' has images; use augment=none",
    ),
    "an augmentation of images on points": (
        "run --tasks solids --recipe rand_augment=9",
        "recipe: rand_augment=9 is for images, but task 'solids' has point clouds; use rand_augment=0",
    ),
    "a magnitude above timm's": ("run --recipe rand_augment=11", "recipe: rand_augment=11 must be at most 10"),
    "a flip more than always": ("run --recipe hflip=1.5", "recipe: hflip=1.5 must be at most 1"),
    "a crop of nothing": ("run --recipe crop_scale=0", "recipe: crop_scale=0.0 must be positive"),
    "validation never": ("run --recipe validate_every=0", "recipe: validate_every=0 must be at least 1"),
    "no such augmentation": ("run --recipe augment=spin", "recipe: unknown augment 'spin'; known: ..."),
    "yes as a switch": ("run --recipe compile=yes", "recipe: compile='yes' must be of type bool"),
    "compile and not": (
        "run --compile --recipe compile=false",
        "--compile contradicts --recipe compile; leave one of them out",
    ),
    # numbers of runs
    "a negative seed": ("run --tasks digits --seeds -1", "seed -1 must be from 0 to 2147483647"),
    "a seed above all generators": (
        "run --tasks digits --seeds 9223372036854775808",
        "seed 9223372036854775808 must be from 0 to 2147483647",
    ),
    "an octal seed": (
        "run --seeds 010",
        "argument --seeds: '010' is no whole number; give one such as 8" + HELP.format("run"),
    ),
    "half a seed": ("run --seeds 0.5", "argument --seeds: '0.5' is no whole number; ..."),
    "seeds twice": (
        "run --seeds 0 --seeds 1",
        "argument --seeds: given twice; give it once, with all its values" + HELP.format("run"),
    ),
    "a billion runs": (
        f"run --methods lora --tasks digits --set lora.rank=[{MANY}] lora.alpha=[{MANY}] lora.lr=[{MANY}]",
        "this asks for 1,000,000,000 runs, but at most 100,000 can be asked for; give fewer values",
    ),
    "a million runs of three kinds": (
        f"run --methods lora --tasks digits --set lora.rank=[{MANY}] --recipe epochs=[{MANY}] warmup_epochs=0",
        "this asks for 1,000,000 runs, but at most 100,000 can be asked for; give fewer values",
    ),
    # where runs happen
    "no workers": ("run --tasks digits --workers 0", "--workers 0 must be from 1 to 1024"),
    "a billion workers": ("run --tasks digits --workers 1000000000", "--workers 1000000000 must be from 1 to 1024"),
    "workers in words": ("run --workers two", "argument --workers: 'two' is no whole number; ..."),
    "no such device": ("run --tasks digits --device tpu7", "unknown device 'tpu7'; known: auto, cpu, cuda, cuda:N"),
    "a device without values": (
        "run --tasks digits --device meta",
        "device 'meta' is not supported; known: auto, cpu, cuda, cuda:N",
    ),
    "a GPU that is not there": (
        "run --tasks digits --device cuda:99",
        "device 'cuda:99' is not available: this machine has ...",
    ),
    "no such precision": ("run --dtype float8", "argument --dtype: invalid choice: 'float8' (choose from ...)..."),
    "an address for this machine": ("run --address auto", "--address is for a cluster: add --executor ray or slurm"),
    "an address for Slurm": (
        "run --executor slurm --address auto",
        "--address is for Ray only: leave it out, or use --executor ray",
    ),
    "no cores per run": ("run --executor slurm --cpus-per-run 0", "--cpus-per-run 0 must be from 1 to 4096"),
    "GPUs that are no number": (
        "run --executor ray --gpus-per-run nan",
        "argument --gpus-per-run: 'nan' is no number; ...",
    ),
    "a GPU for the CPU": (
        "run --executor ray --gpus-per-run 1 --device cpu",
        "--gpus-per-run 1 contradicts --device cpu; change one of them",
    ),
    "a resource without a value": (
        "run --executor ray --resources gpu",
        "--resources 'gpu' must be NAME=VALUE; for Ray the value is a number",
    ),
    "a resource twice": ("run --executor ray --resources a=1 a=2", "--resources 'a=2': a is given twice; give it once"),
    "no such executor": ("run --executor cloud", "argument --executor: invalid choice: 'cloud' ..."),
    "force and dry run": (
        "run --force --dry-run",
        "argument --dry-run: not allowed with argument --force" + HELP.format("run"),
    ),
    "no such option of run": ("run --metods lora", "unrecognized arguments: --metods lora" + HELP.format("run")),
    "an option without its value": ("run --config", "argument --config: expected one argument" + HELP.format("run")),
    "an empty folder": (
        "run --results ''",
        "argument --results: the name is empty; is a variable of your shell not set?" + HELP.format("run"),
    ),
    "results in a file": (
        f"run {QUICK} --results a.yaml",
        "cannot use results folder a.yaml: ...; give another with --results",
    ),
    "tracking nowhere": ("run --tracking nonsense", "--tracking: no MLflow can be at 'nonsense'; give off, ..."),
    # files with a sweep
    "no config": (
        "run --config none.yaml",
        "cannot read none.yaml: No such file or directory",
    ),
    "a folder as config": (
        "run --config configs",
        "cannot read configs: it is a folder, not a file",
    ),
    "a pipe as config": (
        "run --config pipe.yaml",
        "cannot read pipe.yaml: it is a pipe, not a file",
    ),
    "a device as config": (
        "run --config /dev/zero",
        "cannot read /dev/zero: it is a device, not a file",
    ),
    "no text": ("run --config latin.yaml", "cannot read latin.yaml: no text in UTF-8: ..."),
    "a zero byte": ("run --config nul.yaml", "cannot read nul.yaml: unacceptable character #x0000: ..."),
    "an empty file": (
        "run --config empty.yaml",
        "config empty.yaml must be a YAML mapping with some of: methods, suite, ...",
    ),
    "a list": ("run --config list.yaml", "config list.yaml must be a YAML mapping with some of: methods, suite, ..."),
    "an open bracket": ("run --config open.yaml", "cannot read open.yaml: while parsing a flow ..."),
    "two documents": ("run --config two.yaml", "cannot read two.yaml: expected a single document ..."),
    "an alias bomb": (
        "run --config alias.yaml",
        "cannot read alias.yaml: line ...: more than 20,000 values; aliases (*name) count each time",
    ),
    "an alias of itself": (
        "run --config aliases.yaml",
        "cannot read aliases.yaml: line 1: more than 20 levels of nesting",
    ),
    "deep YAML": ("run --config deep.yaml", "cannot read deep.yaml: line 1: more than 20 levels of nesting"),
    "a long file": (
        "run --config long.yaml",
        "cannot read long.yaml: longer than 100,000 characters; divide it",
    ),
    "a number as a key": (
        "run --config number.yaml",
        "cannot read number.yaml: line 1: the key 1 is no text; quote it if it is a name",
    ),
    "null as a key": (
        "run --config null.yaml",
        "cannot read null.yaml: line 1: the key None is no text; quote it if it is a name",
    ),
    "a list as a key": (
        "run --config key.yaml",
        "cannot read key.yaml: line 1: the key ['a', 'b'] is no text; quote it if it is a name",
    ),
    "a key twice": (
        "run --config double.yaml",
        "cannot read double.yaml: line 2: the key 'methods' is there twice",
    ),
    "a call in YAML": (
        "run --config object.yaml",
        "cannot read object.yaml: line 1: the tag tag:yaml.org,2002:python/object/apply:os.system is not allowed",
    ),
    "bytes in YAML": (
        "run --config binary.yaml",
        "cannot read binary.yaml: line 1: the tag tag:yaml.org,2002:binary is not allowed",
    ),
    "a merged key": ("run --config merge.yaml", "recipe: unknown option '<<'; known: ..."),
    "no such field of a sweep": (
        "run --config field.yaml",
        "config field.yaml: unknown field 'method'; did you mean 'methods'? known: ...",
    ),
    "seeds in words": ("run --config seeds.yaml", "config seeds.yaml: 'seeds' takes whole numbers, not 'one'"),
    "octal seeds in YAML": ("run --config octal.yaml", "config octal.yaml: 'seeds' takes whole numbers, not '010'"),
    "a recipe that is a number": ("run --config recipe.yaml", "config recipe.yaml: 'recipe' must be a mapping, not 3"),
    "options that are a number": (
        "run --config set.yaml",
        "config set.yaml: options set for 'lora' must be a mapping or a list of them, not [3]",
    ),
    "a time in YAML": ("run --config time.yaml", "recipe: epochs='1:30' must be of type int"),
    # tuned configurations
    "nothing tuned": (
        f"run {QUICK} --tuned none",
        "not tuned yet: linear on digits; run python -m benchmarks.tune with the same options to fill none",
    ),
    "deep JSON of a study": (
        f"run {QUICK} --results . --tuned",
        "cannot read configs/offline/linear/digits.json: ...; tune again, or remove the file",
    ),
    # tune
    "no trials": ("tune --trials 0", "--trials 0 must be from 1 to 10000"),
    "a billion trials": ("tune --trials 1000000000", "--trials 1000000000 must be from 1 to 10000"),
    "octal trials": ("tune --trials 010", "argument --trials: '010' is no whole number; ..."),
    "too little grace": ("tune --grace-seconds 1", "--grace-seconds 1 must be from 4 to 86400"),
    "endless grace": (
        "tune --grace-seconds 1000000000000000000",
        "--grace-seconds 1000000000000000000 must be from 4 to 86400",
    ),
    "a negative seed of a study": ("tune --seed -1", "--seed -1 must be from 0 to 2147483647"),
    "clouds to write as images": ("data write solids -o new", "solids has point clouds; only images are written"),
    "a task to write twice": ("data write count count -o new", "new/count would be written twice; name each task once"),
    "files to write as files": (
        "data write cifar100 --suite vtab1k -o new",
        "the images of suite vtab1k are files already",
    ),
    "a list in one study of two": (
        "tune --methods lora linear --tasks digits --set lora.rank=[4,8]",
        "studies of several sizes: 1 for linear on digits, 2 for lora on digits; options that are lists say how many "
        "trials a study has",
    ),
    "a list and another number of trials": (
        "tune --methods lora --tasks digits --set lora.rank=[4,8] --trials 3",
        "--trials 3, but lists of options make 2 trials; leave it out",
    ),
    "a list of recipes in a study": (
        "tune --methods lora --tasks digits --recipe epochs=[3,4]",
        "several recipes, but a study has one; give values, not lists",
    ),
    "a rule in a study": (
        "tune --recipe checkpoint_rule=best_test",
        "checkpoint_rule=best_test: a trial is judged on validation after its last epoch; leave the rule out",
    ),
    "no such storage": (
        f"tune {QUICK} --storage nonsense",
        "cannot use storage nonsense: ...; give another with --storage",
    ),
    # speed
    "a step of a billion samples": ("speed --batch-size 1000000000", "--batch-size 1000000000 must be from 2 to 65536"),
    "a step of one sample": ("speed --batch-size 1", "--batch-size 1 must be from 2 to 65536"),
    "no rounds": ("speed --repeats 0", "--repeats 0 must be from 1 to 10000"),
    "a billion rounds": ("speed --repeats 1000000000", "--repeats 1000000000 must be from 1 to 10000"),
    "no processes": ("speed together --side-by-side 1 0", "--side-by-side 0 must be from 1 to 64"),
    "an option of a method that is not timed": (
        "speed --set vpt_deep.prompts=5",
        "options set for 'vpt_deep', which is not among the methods: lora, adapterx",
    ),
    "no such part": (
        "speed --device cpu --report image",
        "--report: unknown part 'image'; did you mean 'images'? known: ...",
    ),
    "a report of some methods": (
        "speed --report images --methods lora",
        "--report has settings of its own: leave out --methods",
    ),
    "no such method to time": (
        "speed --device cpu --methods lroa",
        "unknown method 'lroa'; did you mean 'lora'? known: ...",
    ),
    "no such backbone to time": (
        "speed --device cpu --dtype float32 --backbone vit_nanoo",
        "unknown backbone 'vit_nanoo'; ...",
    ),
    "no such device to time on": ("speed --device tpu", "argument --device: invalid choice: 'tpu' ..."),
    "a study in memory": (
        "tune --methods linear --tasks digits --storage sqlite://",
        "storage sqlite:// is in memory, so no trial would be kept; give a file with --storage, ...",
    ),
    "a storage whose port is none": (
        "tune --methods linear --tasks digits --storage postgresql://me:secret@host:many/db",
        "cannot use storage postgresql://me:***@host:many/db: its port is no number; give another with --storage",
    ),
    # what is made from records
    "no records": ("leaderboard --results none", "no run records below none/runs; ..."),
    "nothing to compare": (
        "leaderboard --compare lora",
        "argument --compare: expected 2 arguments" + HELP.format("leaderboard"),
    ),
    "two things instead": (
        "leaderboard --compare a b --published vtab1k",
        "argument --published: not allowed with argument --compare" + HELP.format("leaderboard"),
    ),
    "nothing published": ("leaderboard --results none --published vtab", "..."),
    "no records for a plot": ("pareto --results none", "no run records below none/runs; ..."),
    "no records for ranks": ("ranks --results none", "no run records below none/runs; ..."),
    "no records to compare with papers": (
        "validity --results none --published vtab1k",
        "no run records below none/runs; ...",
    ),
    "papers of no suite": (
        "validity --published vtab",
        "unknown suite with published numbers 'vtab'; did you mean 'vtab1k'? ...",
    ),
    "no file for a picture": (
        "routing adapterx",
        "the following arguments are required: -o/--out" + HELP.format("routing"),
    ),
    "a picture as a text": (
        "architecture noah -o r.txt",
        "cannot draw 'r.txt': its name must end in .png, .svg or .pdf",
    ),
    "no such run": (
        "features nothing --results none -o f.png",
        "'nothing' names no run below none/runs; give a record's path or key; ...",
    ),
    "no run to report": ("report nothing --results none", "'nothing' names no run below none/runs; ..."),
    "no run to push": ("push nothing me/x --results none", "'nothing' names no run below none/runs; ..."),
    "no repository": (
        "pull x --results none",
        "'x' is no repository of the hub: give OWNER/NAME, such as me/my-photos",
    ),
    "no runs to list": ("runs --results none", "no run records below none/runs; make some with: ..."),
    "no runs to reproduce": ("reproduce 0000 --results none", "no run records below none/runs; make some with: ..."),
    "no data to recommend for": (
        "recommend --data-root none",
        "there is no folder ...; give the folder of your data ...",
    ),
    "no runs to submit": ("submit none", "no such records below none/runs; make some with: ..."),
    "no pack to check": ("check none", "none: the name of a pack ends in .zip; rename it"),
    "no method to check": ("method check loar", "unknown method 'loar'; did you mean 'lora'? known: ..."),
    # predict
    "no photo": ("predict linear.safetensors", "the following arguments are required: PHOTO" + HELP.format("predict")),
    "a photo that is not there": (
        "predict linear.safetensors a.jpg",
        "cannot read a.jpg: No such file or directory",
    ),
    "no run to predict with": (
        "predict 0000 empty.yaml --results none",
        "'0000' names no run below none/runs; give a record's path or key; ...",
    ),
    "a text as a model": ("predict text.safetensors empty.yaml", "cannot read task file text.safetensors: ..."),
    "a folder without photos": (
        "predict linear.safetensors configs",
        "configs holds no file that ends in .bmp, .gif, ...",
    ),
    "a text as a photo": (
        "predict linear.safetensors a.yaml",
        "cannot decode a.yaml: it is no image of a known format; convert it to BMP, ...",
    ),
    "a pipe as a photo": (
        "predict linear.safetensors pipe.yaml",
        "cannot read pipe.yaml: it is a pipe, not a file",
    ),
    "a picture as a cloud": (
        "predict points.safetensors empty.yaml",
        "cannot read empty.yaml as HDF5: ...",
    ),
    "predictions of another ending": (
        "predict linear.safetensors a.yaml -o x.txt",
        "cannot write 'x.txt': the file must end in .csv or .json",
    ),
    "no class": ("predict linear.safetensors a.yaml --topk 0", "--topk 0 must be 1 or more"),
    "more classes than there are": (
        "predict linear.safetensors a.yaml --topk 11",
        "--topk 11 must be from 1 to 10, the number of classes",
    ),
    "predictions on no device": (
        "predict linear.safetensors a.yaml --device tpu7",
        "unknown device 'tpu7'; known: auto, cpu, cuda, cuda:N",
    ),
    # export
    "nothing to write": (
        "export x.safetensors",
        "nothing to write; give one of: --peft DIR, --timm-dir DIR, --task FILE, -o FILE, --onnx FILE, ...",
    ),
    "a graph of another ending": (
        "export x.safetensors --onnx x.pt",
        "cannot write 'x.pt': the file must end in .onnx",
    ),
    "a graph of torch with another ending": (
        "export x.safetensors --torch-export x.onnx",
        "cannot write 'x.onnx': the file must end in .pt2",
    ),
    "a checkpoint of another ending": (
        "export x.safetensors -o x.pth",
        "cannot write 'x.pth': the file must end in .safetensors",
    ),
    "a full disk": ("export x.safetensors -o /dev/full", "cannot write '/dev/full': the file must end in .safetensors"),
    "two exports to one file": (
        "export x.safetensors -o y.safetensors --task y.safetensors",
        "-o and --task both name y.safetensors; give two files",
    ),
    "two exports to one folder": (
        "export x.safetensors --timm-dir y --peft y",
        "--timm-dir and --peft both name y; give two folders",
    ),
    "no run to export": (
        "export 0000 -o y.safetensors --results none",
        "'0000' names no run below none/runs; give a record's path or key; ...",
    ),
    "no task file": ("export x.safetensors -o y.safetensors", "cannot read x.safetensors: No such file or directory"),
    "a pipe as task file": (
        "export pipe.safetensors -o y.safetensors",
        "cannot read pipe.safetensors: it is a pipe, not a file",
    ),
    "a text as task file": ("export text.safetensors -o y.safetensors", "cannot read task file text.safetensors: ..."),
    # data
    "no action": ("data", "the following arguments are required: ACTION" + HELP.format("data")),
    "no such action": ("data lst", "argument ACTION: invalid choice: 'lst' ..."),
    "no such suite to verify": ("data verify ofline", "unknown suite 'ofline'; did you mean 'offline'? known: ..."),
    "no such task to show": (
        "data show digit -o x.png",
        "suite offline: unknown task 'digit'; did you mean 'digits'? known: ...",
    ),
    "a sheet of another ending": (
        "data show digits -o x.doc",
        "cannot draw 'x.doc': its name must end in .png, .svg or .pdf",
    ),
    "a sheet where nothing can be": (
        "data show digits -o /proc/nowhere/x.png",
        "cannot write /proc/nowhere/x.png: no such file or directory. ...",
    ),
    "no such suite to fetch": ("data fetch vtab", "unknown suite 'vtab'; ..."),
    "nothing to convert": ("data convert offline", "unknown suite with files to convert 'offline'; known: modelnet40"),
    "a split of all images": ("data split deep --test 1", "--test 1.0 must be above 0 and below 1"),
    "a split by no number": ("data split deep --test nan", "argument --test: 'nan' is no number; ..."),
    "a split of a seed below 0": ("data split deep --seed -1", "--seed -1 must be from 0 to 2147483647"),
    "a split of no folder": ("data split nothing", "there is no folder ...nothing; give one with a folder per class"),
    "a split over a folder": ("data split deep -o weights", "...weights exists already; give another folder with -o"),
    "a split into itself": (
        "data split deep -o deep/new",
        "...deep/new lies in ...deep, where it would be a class; give another folder with -o",
    ),
    "a split of one class": ("data split deep", "...deep: its only class is 'runs'; a task needs two classes or more"),
    # pretrain
    "no such backbone to pretrain": ("pretrain vit_nanoo", "argument name: invalid choice: 'vit_nanoo' ..."),
    "negative threads": ("pretrain vit_nano --threads -1", "--threads -1 must be from 1 to 4096"),
    "a billion threads": ("pretrain vit_nano --threads 1000000000", "--threads 1000000000 must be from 1 to 4096"),
    "a device that is none": (
        "pretrain vit_nano --device nope",
        "unknown device 'nope'; known: auto, cpu, cuda, cuda:N",
    ),
    "pretraining without values": (
        "pretrain vit_nano --device meta",
        "device 'meta' is not supported; known: auto, cpu, cuda, cuda:N",
    ),
    "pretraining on no GPU": (
        "pretrain vit_nano --device cuda:99",
        "device 'cuda:99' is not available: this machine has ...",
    ),
    "pretraining with no seed": ("pretrain vit_nano --seed -1", "--seed -1 must be from 0 to 2147483647"),
    "a rate of pretraining that is none": ("pretrain vit_nano --lr nan", "argument --lr: 'nan' is no number; ..."),
    "a negative rate of pretraining": (
        "pretrain vit_nano --lr -1",
        "--samples 400000, --batch-size 128 and --lr -1.0 allow no training: ...",
    ),
    "no samples": ("pretrain vit_nano --samples 0", "--samples 0 must be from 1 to 1000000000"),
    "endless samples": (
        "pretrain vit_nano --samples 1000000000000",
        "--samples 1000000000000 must be from 1 to 1000000000",
    ),
    "batches of one": (
        "pretrain vit_nano --batch-size 1",
        "--samples 400000, --batch-size 1 and --lr 0.001 allow no training: ...",
    ),
    "a damaged checkpoint": (
        "pretrain vit_nano --out weights",
        "weights/vit_nano.checkpoint is no whole checkpoint: ...; delete it to start again",
    ),
    "a pipe as checkpoint": (
        "pretrain vit_nano --out piped",
        "piped/vit_nano.checkpoint is no whole checkpoint: ...; delete it to start again",
    ),
    # the rest
    "no file for the catalog": ("catalog -o", "argument -o/--out: expected one argument" + HELP.format("catalog")),
    "no MLflow": (
        "tracking sync --results none --tracking off",
        "tracking is off, so no MLflow can get the records; give --tracking URI",
    ),
    "nothing to track": (
        "tracking sync --results none --tracking sqlite:///m.db",
        "no run records below none/runs; ...",
    ),
    "a database in no folder": (
        "tracking sync --tracking sqlite:///none/m.db",
        "--tracking: 'sqlite:///none/m.db' is in a folder that does not exist; ...",
    ),
    "a password in an address": (
        "run --tasks digits --tracking ftp://me:secret@host",
        "--tracking: no MLflow can be at 'ftp://me:***@host'; ...",
    ),
    "a server without a name": ("tracking sync --tracking http://", "--tracking: no MLflow can be at 'http://'; ..."),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with files that are not what they should be."""
    made = tmp_path_factory.mktemp("wrong")
    for name, content in FILES.items():
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(content)
    for name in PIPES:
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(made / name)
    (made / "latin.yaml").write_bytes(b"methods: caf\xe9")
    for name, task in {"linear": "digits", "points": "solids"}.items():
        (spec,) = sweep.specs(sweep.Sweep(methods=("linear",), tasks=(task,)), "float32")
        task_files.save(model.build(spec), spec, made / f"{name}.safetensors")
    return made


@pytest.fixture(autouse=True)
def no_hang() -> Iterator[None]:
    """A test that waits for ever would stop all others."""

    def late(number: int, frame: object):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("name", ROWS)
def test_wrong_input_is_one_line(name, folder, monkeypatch, complaint):
    given, line = ROWS[name]
    monkeypatch.chdir(folder)
    told = complaint(console.main, *shlex.split(given))
    assert re.fullmatch(".*".join(map(re.escape, line.split("..."))), told), told


def test_there_are_many_rows_and_some_of_every_verb():
    assert len(ROWS) >= 120
    assert {given.split()[0] for given, _ in ROWS.values()} > set(console.available())
