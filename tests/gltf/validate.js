// Checks glTF files with Khronos' own validator: node validate.js FILE...   (npm install gltf-validator first)
'use strict';
const fs = require('fs');
const path = require('path');
const validator = require('gltf-validator');

// Without tangents in the file, glTF has viewers make those of MikkTSpace, which the normal map is baked for. The validator
// warns of it all the same; tangents in the file would split vertices along every chart.
const EXPECTED = ['MESH_PRIMITIVE_GENERATED_TANGENT_SPACE'];

async function main(files) {
  let failures = 0;
  for (const file of files) {
    const report = await validator.validateBytes(new Uint8Array(fs.readFileSync(file)), {
      uri: path.basename(file),
      externalResourceFunction: (uri) =>
        Promise.resolve(new Uint8Array(fs.readFileSync(path.join(path.dirname(file), decodeURIComponent(uri))))),
    });
    const found = report.issues.messages.filter((m) => m.severity < 2 && !EXPECTED.includes(m.code));
    console.log(`${file}: ${report.issues.numErrors} errors, ${found.length} unexpected errors and warnings`);
    for (const message of found) {
      console.log(`  ${message.code} ${message.message} ${message.pointer}`);
    }
    failures += found.length;
  }
  process.exit(failures === 0 ? 0 : 1);
}

main(process.argv.slice(2));
