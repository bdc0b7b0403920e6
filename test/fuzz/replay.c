/*
 * The main() of a fuzz target in ordinary builds: runs LLVMFuzzerTestOneInput() over every file of the corpus folder
 * named on the command line, and over every prefix of it that is at most 512 bytes long (cut input is what parsers meet
 * most).
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run(const uint8_t *data, size_t size)
{
    uint8_t *exact = malloc(size ? size : 1); /* of its exact size, so that a sanitizer sees the first byte too far */

    if (!exact)
        abort();
    if (size)
        memcpy(exact, data, size);
    (void)LLVMFuzzerTestOneInput(exact, size);
    free(exact);
}

static int replay(const char *folder, const char *name)
{
    static uint8_t bytes[1 << 20];
    char path[4096];
    FILE *file;
    size_t size;

    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    file = fopen(path, "rb");
    if (!file) {
        perror(path);
        return -1;
    }
    size = fread(bytes, 1, sizeof(bytes), file);
    (void)fclose(file);
    for (size_t cut = 0; cut < size && cut <= 512; cut++)
        run(bytes, cut);
    run(bytes, size);
    return 0;
}

int main(int argc, char **argv)
{
    int count = 0;
    DIR *folder;
    struct dirent *entry;

    if (argc != 2 || !(folder = opendir(argv[1]))) {
        (void)fprintf(stderr, "usage: %s CORPUS-FOLDER\n", argv[0]);
        return 2;
    }
    while ((entry = readdir(folder))) {
        if (entry->d_name[0] == '.')
            continue;
        if (replay(argv[1], entry->d_name) < 0)
            return 1;
        count++;
    }
    (void)closedir(folder);
    (void)printf("%d inputs\n", count);
    return count > 0 ? 0 : 1; /* an empty corpus is a mistake, not a success */
}
