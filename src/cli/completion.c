/* SPDX-License-Identifier: Apache-2.0 */
/* See completion.h. Names and words of the tables are plain; only help sentences need quoting. */
#include "cli/completion.h"

#include <string.h>

#include "cli/command.h"
#include "cli/help.h"

static void append_words(struct text *text, const char *const *words, const char *separator)
{
    for (const char *const *word = words; *word; word++)
        text_append_format(text, "%s%s", word == words ? "" : separator, *word);
}

/* Names of actions, or of commands and topics: what an operand may be. */
static void append_operand_words(struct text *text, const struct command *command, const char *separator)
{
    const char *before = "";
    for (const struct word *action = command->actions; action && action->name; action++) {
        text_append_format(text, "%s%s", before, action->name);
        before = separator;
    }
    if (command->operands != ARGUMENT_COMMAND)
        return;
    for (const struct command *const *other = commands; *other; other++) {
        text_append_format(text, "%s%s", before, (*other)->name);
        before = separator;
    }
    for (const struct help_topic *topic = help_topics; topic->name; topic++)
        text_append_format(text, "%s%s", before, topic->name);
}

struct script {
    struct text *text;
    const struct command *command;
};

/* ---- bash --------------------------------------------------------------------------------------- */

static bool append_bash_argument(void *payload, const struct option_group *group, const struct option *option)
{
    (void)group;
    const struct script *script = payload;
    if (!option->argument || option->argument_optional)
        return true;
    text_append_format(script->text, "    %s:--%s) ", script->command->name, option->name);
    if (option->words) {
        text_append(script->text, "candidates=(-W \"");
        append_words(script->text, option->words, " ");
        text_append(script->text, "\") ;;\n");
    } else if (option->argument_kind == ARGUMENT_DIRECTORY) {
        text_append(script->text, "candidates=(-d) ;;\n");
    } else {
        text_append(script->text,
                    option->argument_kind == ARGUMENT_FILE ? "candidates=(-f) ;;\n" : "return ;;\n");
    }
    return true;
}

static bool append_bash_name(void *payload, const struct option_group *group, const struct option *option)
{
    (void)group;
    const struct script *script = payload;
    text_append_format(script->text, " --%s", option->name);
    return true;
}

static void append_bash_operands(struct text *text, const struct command *command)
{
    bool words = command->actions || command->operands == ARGUMENT_COMMAND;
    bool files = command->operands == ARGUMENT_FILE || command->operands == ARGUMENT_MODULE;
    text_append_format(text, "    %s:*) candidates=(", command->name);
    if (words) {
        text_append(text, "-W \"");
        append_operand_words(text, command, " ");
        text_append(text, "\"");
    }
    text_append(text, files ? (words ? " -f" : "-f") : "");
    text_append(text, words || files ? ") ;;\n" : "-W \"\") ;;\n");
}

void completion_append_bash(struct text *text)
{
    text_append(text, "# bash completion for berth; made by 'berth completion bash'\n"
                      "_berth() {\n"
                      "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}\n"
                      "    local command=${COMP_WORDS[1]}\n"
                      "    local -a candidates=()\n"
                      "    ((COMP_CWORD == 1)) && command=\n"
                      "    case $command:$before in\n");
    struct script script = {.text = text};
    for (const struct command *const *command = commands; *command; command++) {
        script.command = *command;
        options_each(*command, append_bash_argument, &script);
    }
    text_append(text, "    esac\n"
                      "    ((${#candidates[@]})) || case $command:$word in\n"
                      "    :*) candidates=(-W \"--help --version");
    for (const struct command *const *command = commands; *command; command++)
        text_append_format(text, " %s", (*command)->name);
    text_append(text, "\") ;;\n");
    for (const struct command *const *command = commands; *command; command++) {
        script.command = *command;
        text_append_format(text, "    %s:-*) candidates=(-W \"", (*command)->name);
        options_each(*command, append_bash_name, &script);
        text_append(text, "\") ;;\n");
        append_bash_operands(text, *command);
    }
    text_append(
        text,
        "    esac\n"
        "    ((${#candidates[@]})) && mapfile -t COMPREPLY < <(compgen \"${candidates[@]}\" -- \"$word\")\n"
        "}\n"
        "complete -o filenames -F _berth berth\n");
}

/* ---- zsh ---------------------------------------------------------------------------------------- */

/* Inside '…' and, for _arguments and _describe, with the characters that they divide at taken literally. */
static void append_zsh_quoted(struct text *text, const char *string)
{
    for (; *string; string++) {
        if (*string == '\'')
            text_append(text, "'\\''");
        else if (strchr("[]:\\", *string))
            text_append_format(text, "\\%c", *string);
        else
            text_append_bytes(text, string, 1);
    }
}

static void append_zsh_action(struct text *text, enum argument_kind kind)
{
    static const char *const actions[] = {
        [ARGUMENT_TEXT] = " ",        [ARGUMENT_FILE] = "_files", [ARGUMENT_DIRECTORY] = "_directories",
        [ARGUMENT_MODULE] = "_files", [ARGUMENT_COMMAND] = " ",
    };
    text_append(text, actions[kind]);
}

static bool append_zsh_option(void *payload, const struct option_group *group, const struct option *option)
{
    (void)group;
    const struct script *script = payload;
    text_append_format(script->text, " \\\n        '*--%s%s[", option->name,
                       !option->argument           ? ""
                       : option->argument_optional ? "=-"
                                                   : "=");
    append_zsh_quoted(script->text, option->help);
    text_append(script->text, "]");
    if (option->argument) {
        text_append(script->text, option->argument_optional ? "::" : ":");
        append_zsh_quoted(script->text, option->argument);
        text_append(script->text, ":");
        if (option->words) {
            text_append(script->text, "(");
            append_words(script->text, option->words, " ");
            text_append(script->text, ")");
        } else {
            append_zsh_action(script->text, option->argument_kind);
        }
    }
    text_append(script->text, "'");
    return true;
}

static void append_zsh_operands(struct text *text, const struct command *command)
{
    if (command->actions || command->operands == ARGUMENT_COMMAND) {
        text_append(text, " \\\n        '1:what:(");
        append_operand_words(text, command, " ");
        text_append(text, ")'");
    }
    if (command->operands == ARGUMENT_FILE || command->operands == ARGUMENT_MODULE)
        text_append(text, " \\\n        '*:file:_files'");
}

void completion_append_zsh(struct text *text)
{
    text_append(text, "#compdef berth\n"
                      "# made by 'berth completion zsh'\n"
                      "_berth() {\n"
                      "    local -a commands=(");
    for (const struct command *const *command = commands; *command; command++) {
        text_append_format(text, "\n        '%s:", (*command)->name);
        append_zsh_quoted(text, (*command)->summary);
        text_append(text, "'");
    }
    text_append(text, ")\n"
                      "    if ((CURRENT == 2)); then\n"
                      "        _describe command commands\n"
                      "        return\n"
                      "    fi\n"
                      "    local command=$words[2]\n"
                      "    shift words\n"
                      "    ((CURRENT--))\n"
                      "    case $command in\n");
    for (const struct command *const *command = commands; *command; command++) {
        struct script script = {text, *command};
        text_append_format(text, "    %s)\n        _arguments%s", (*command)->name,
                           (*command)->operands_end_options ? " -A '-*'" : "");
        options_each(*command, append_zsh_option, &script);
        append_zsh_operands(text, *command);
        text_append(text, "\n        ;;\n");
    }
    text_append(text, "    esac\n"
                      "}\n"
                      "_berth \"$@\"\n");
}

/* ---- fish --------------------------------------------------------------------------------------- */

static void append_fish_quoted(struct text *text, const char *string)
{
    text_append(text, "'");
    for (; *string; string++) {
        if (*string == '\'' || *string == '\\')
            text_append(text, "\\");
        text_append_bytes(text, string, 1);
    }
    text_append(text, "'");
}

static bool append_fish_option(void *payload, const struct option_group *group, const struct option *option)
{
    (void)group;
    const struct script *script = payload;
    struct text *text = script->text;
    text_append_format(text, "complete -c berth -n '__fish_seen_subcommand_from %s' -l %s",
                       script->command->name, option->name);
    if (option->letter)
        text_append_format(text, " -s %c", option->letter);
    if (option->words) {
        text_append(text, option->argument_optional ? " -a '" : " -x -a '");
        append_words(text, option->words, " ");
        text_append(text, "'");
    } else if (option->argument && option->argument_kind == ARGUMENT_DIRECTORY) {
        text_append(text, " -x -a '(__fish_complete_directories)'");
    } else if (option->argument) {
        text_append(text, option->argument_kind == ARGUMENT_FILE ? " -r -F" : " -x");
    }
    text_append(text, " -d ");
    append_fish_quoted(text, option->help);
    text_append(text, "\n");
    return true;
}

void completion_append_fish(struct text *text)
{
    text_append(text, "# fish completion for berth; made by 'berth completion fish'\n"
                      "complete -c berth -f\n");
    for (const struct command *const *command = commands; *command; command++) {
        const char *name = (*command)->name;
        struct script script = {text, *command};
        text_append_format(text, "complete -c berth -n __fish_use_subcommand -a %s -d ", name);
        append_fish_quoted(text, (*command)->summary);
        text_append(text, "\n");
        if ((*command)->actions || (*command)->operands == ARGUMENT_COMMAND) {
            text_append_format(text, "complete -c berth -n '__fish_seen_subcommand_from %s' -a '", name);
            append_operand_words(text, *command, " ");
            text_append(text, "'\n");
        }
        if ((*command)->operands == ARGUMENT_FILE || (*command)->operands == ARGUMENT_MODULE)
            text_append_format(text, "complete -c berth -n '__fish_seen_subcommand_from %s' -F\n", name);
        options_each(*command, append_fish_option, &script);
    }
}
