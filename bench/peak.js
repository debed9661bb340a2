// Loaded into a process by --import: at its end it says on pipe 3 how much memory it held at most, KiB.
import { writeSync } from 'node:fs';

process.once('exit', () => writeSync(3, String(process.resourceUsage().maxRSS)));
