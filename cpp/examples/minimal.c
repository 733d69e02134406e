/* One picture in, one mesh file out, in C11.
 *
 *   cc -std=c11 -I cpp/include cpp/examples/minimal.c -L target/release -lmaquette -o minimal
 *   LD_LIBRARY_PATH=target/release ./minimal examples/rocket.png rocket.glb '{"preset": "draft"}'
 */
#include <stdio.h>
#include <stdlib.h>

#include "maquette.h"

/* Ends the program with the reason of the last call that failed. */
static void fail(const char *what) {
  char reason[1024];
  maq_last_error(reason, sizeof reason);
  fprintf(stderr, "minimal: %s: %s\n", what, reason);
  exit(EXIT_FAILURE);
}

int main(int argc, char **argv) {
  if (argc < 3) {
    fprintf(stderr, "usage: minimal PICTURE OUTPUT.glb [RECIPE-JSON]\n");
    return EXIT_FAILURE;
  }
  maq_context context;
  if (maq_context_new(MAQ_ABI, NULL, &context) < 0) fail("context");

  maq_request request;
  maq_request_init(&request, sizeof request);
  request.picture_path = argv[1];
  request.recipe = argc > 3 ? argv[3] : NULL;
  maq_job job;
  if (maq_job_start(context, &request, &job) < 0) fail("start");

  /* A program with a window polls from its timer instead of waiting. */
  maq_progress progress = {.struct_size = sizeof progress};
  while (maq_job_wait(job, 100) == MAQ_PENDING) {
    maq_job_poll(job, &progress);
    fprintf(stderr, "\r%-8s %3.0f %%", maq_stage_name(progress.stage), (double)progress.fraction * 100.0);
  }
  if (maq_job_poll(job, &progress) != MAQ_OK) {
    char reason[1024];
    maq_job_error(job, reason, sizeof reason);
    fprintf(stderr, "\nminimal: %s\n", reason);
    return EXIT_FAILURE;
  }
  maq_mesh mesh = {.struct_size = sizeof mesh};
  if (maq_job_mesh(job, &mesh) < 0) fail("mesh");
  if (maq_job_save(job, argv[2]) < 0) fail("save");
  printf("\n%s: %llu vertices, %llu triangles\n", argv[2], (unsigned long long)mesh.vertex_count,
         (unsigned long long)mesh.triangle_count);

  maq_job_free(job);
  maq_context_free(context);
  return EXIT_SUCCESS;
}
