import { defineConfig } from 'vite';

// Fixed names, no hashes, no source maps: the bundle is in the repository and is built into the program.
// Relative addresses: a proxy may show the page under a path.
export default defineConfig({
  base: './',
  esbuild: { jsx: 'automatic', jsxImportSource: 'preact', legalComments: 'none' },
  build: {
    target: 'es2022',
    modulePreload: false,
    sourcemap: false,
    cssCodeSplit: false,
    assetsInlineLimit: 0,
    reportCompressedSize: false,
    rollupOptions: {
      output: {
        inlineDynamicImports: true,
        entryFileNames: 'app.js',
        assetFileNames: (asset) => (asset.names.some((name) => name.endsWith('.css')) ? 'app.css' : '[name][extname]'),
      },
    },
  },
  // The server answers its own page alone: what this page asks goes to it as if that had asked.
  server: {
    proxy: {
      '/api': {
        target: process.env['CLIPLENS_SERVER'] ?? 'http://127.0.0.1:7878',
        changeOrigin: true,
        configure: (proxy) => proxy.on('proxyReq', (request) => request.removeHeader('origin')),
      },
    },
  },
});
