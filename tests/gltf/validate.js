// Checks glTF files with Khronos' own validator: node validate.js FILE...   (npm install gltf-validator first)
'use strict';
const fs = require('fs');
const path = require('path');
const validator = require('gltf-validator');

async function main(files) {
  let failures = 0;
  for (const file of files) {
    const report = await validator.validateBytes(new Uint8Array(fs.readFileSync(file)), {
      uri: path.basename(file),
      externalResourceFunction: (uri) =>
        Promise.resolve(new Uint8Array(fs.readFileSync(path.join(path.dirname(file), decodeURIComponent(uri))))),
    });
    const { numErrors, numWarnings, messages } = report.issues;
    console.log(`${file}: ${numErrors} errors, ${numWarnings} warnings`);
    for (const message of messages.filter((m) => m.severity < 2)) {
      console.log(`  ${message.code} ${message.message} ${message.pointer}`);
    }
    failures += numErrors + numWarnings;
  }
  process.exit(failures === 0 ? 0 : 1);
}

main(process.argv.slice(2));
