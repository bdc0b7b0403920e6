/* [amqp] alone, out of the configuration of a node. */
#include "bus/rabbitmq/settings.h"

/** All sources are read, so that all errors are told. */
static int load_all(struct config *c, const char *path, char *const *environment, const char *const *assignments,
                    struct buffer *errors)
{
    int worst = path ? config_load_file(c, path, errors) : 0;
    int result = worst < 0 ? worst : config_load_environment(c, environment, errors);

    for (worst = worst ? worst : result; result >= 0 && *assignments; assignments++) {
        result = config_load_assignment(c, *assignments, errors);
        worst = worst ? worst : result;
    }
    return result < 0 ? result : worst;
}

int rabbitmq_settings_load(struct rabbitmq_settings *s, const char *path, char *const *environment,
                           const char *const *assignments, struct buffer *errors)
{
    int result;

    *s = (struct rabbitmq_settings){0};
    result = config_new(&s->config);
    if (!result)
        result = config_add_table(s->config, rabbitmq_options, rabbitmq_option_count, &s->amqp);
    if (result)
        return result;
    config_pass_over_other_sections(s->config);
    result = load_all(s->config, path, environment, assignments, errors);
    return result ? result : config_finish(s->config, errors);
}

void rabbitmq_settings_deinit(struct rabbitmq_settings *s)
{
    s->config = config_free(s->config);
}
