import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';

const server = process.env.TIDEWATCH_URL ?? 'http://127.0.0.1:9090';
const proxied = { target: server, changeOrigin: true };

export default defineConfig({
  plugins: [react()],
  build: {
    target: 'es2022',
    // The strict content security policy allows no data: styles or scripts, so nothing is inlined.
    assetsInlineLimit: 0,
    reportCompressedSize: false,
    modulePreload: { polyfill: false },
    rolldownOptions: {
      output: {
        // What both editors are made of is a chunk of its own, which no page needs.
        codeSplitting: { groups: [{ name: 'editor', test: /node_modules[\\/](@codemirror|@lezer|@marijn|style-mod|w3c-keyname|crelt)|src[\\/]editor[\\/](base|echo)\./ }] },
      },
    },
  },
  server: {
    host: '127.0.0.1',
    proxy: { '/api': proxied, '/metrics': proxied, '/-': proxied },
  },
  test: { include: ['test/**/*.test.ts'], environment: 'node' },
});
