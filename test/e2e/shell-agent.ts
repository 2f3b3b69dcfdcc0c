/** Stands in for the agent in boot tests: a shell for whoever dials the agent's port. */
import { spawn } from 'node:child_process';

spawn('socat', ['VSOCK-LISTEN:1024,fork', 'EXEC:/bin/sh,stderr'], { stdio: 'inherit' });
