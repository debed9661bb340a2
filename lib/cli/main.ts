#!/usr/bin/env node
import { main } from './task-worker.js';

// For an app whose module never finishes loading: nothing is left to wait for then, and the process just ends.
process.exitCode = 1;
// An app's module may keep timers and pools open: the process ends when the command has, not when they do.
void main(process.argv.slice(2)).then((code) => process.exit(code));
