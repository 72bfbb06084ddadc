import { z } from 'zod';

// Imported before anything that builds a schema: zod otherwise probes for `new Function`, which the
// page's content security policy forbids and reports.
z.config({ jitless: true });
