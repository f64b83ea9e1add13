// What `liftoff.rs` starts in node. Reads a module of so many bytes from standard input, and then
// commands, one at a time; each is answered by a line, `ok` or `error` and what there is to say.
'use strict';
const { readSync, writeSync } = require('node:fs');

const length = Number(process.argv[2]);
// After the module a custom section without a name: a number, so that no two compilations are of the
// same bytes.
const bytes = Buffer.alloc(length + 7);
for (let have = 0; have < length; ) {
    const read = readSync(0, bytes, have, length - have);
    if (read === 0) process.exit(1);
    have += read;
}
bytes.set([0, 5, 0], length);

// The CPU time of all threads of the process, in nanoseconds.
const clock = () => {
    const { user, system } = process.cpuUsage();
    return (user + system) * 1000;
};

let turn = 0;
let runs = [];
const commands = {
    // Compiles the module; what the garbage collector does for it later is not counted.
    compile() {
        bytes.writeUInt32LE(++turn, length + 3);
        const start = clock();
        new WebAssembly.Module(bytes);
        const took = clock() - start;
        gc();
        return took;
    },
    // Makes so many instances, each of a module of its own, and tells what each returns for n.
    instances(count, n) {
        runs = Array.from({ length: count }, () => {
            bytes.writeUInt32LE(++turn, length + 3);
            return new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports.run;
        });
        return runs.map((run) => run(n)).join(' ');
    },
    // Calls one of the instances so many times; they take turns.
    run(times, n) {
        const run = runs[++turn % runs.length];
        const start = clock();
        for (let i = 0; i < times; i++) run(n);
        return clock() - start;
    },
};

const line = Buffer.alloc(64);
for (let read; (read = readSync(0, line)) > 0; ) {
    const [command, ...numbers] = line.toString('latin1', 0, read).trim().split(' ');
    let answer;
    try {
        answer = `ok ${commands[command](...numbers.map(Number))}`;
    } catch (error) {
        answer = `error ${error.message}`.replaceAll('\n', ' ');
    }
    writeSync(1, `${answer}\n`);
}
