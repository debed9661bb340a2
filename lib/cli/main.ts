#!/usr/bin/env node
import { main } from './task-worker.js';

// Should nothing be left to wait for before the command has ended: an app whose module never finishes loading is no success.
process.exitCode = 1;
// An app's module may keep timers and pools open: the process ends when the command has, not when they do.
void main(process.argv.slice(2)).then((code) => process.exit(code));
