/*
 * The configuration files of both ends: what a setup says, as the text that an
 * administrator would write, read by the parser of the daemon.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

struct sim_setup
sim_setup(unsigned lines)
{
	struct sim_setup su = {
		.lines = lines, .seed = 1, .timeout_ms = 10000
	};

	for (unsigned i = 0; i < LINKS_MAX; i++) {
		su.up_Bps[i] = su.down_Bps[i] = 1250000;
		su.delay[i] = 10 * MSEC;
	}
	return su;
}

static const char *
or_else(const char *text, const char *usual)
{
	return text == NULL ? usual : text;
}

static void
link_text(FILE *f, const struct sim *s, int end, unsigned line)
{
	const struct sim_setup *su = &s->setup;
	const struct sim_end_setup *es = &su->end[end];
	bool server =
	    strcmp(or_else(es->mode, end == SERVER ? "server" : "client"),
		"server") == 0;
	unsigned port = 5000 + line + su->port;

	fprintf(f, "[%s%u]\n", or_else(es->prefix, "l"), line);
	if (server)
		fprintf(f, "bindport = %u\n", port);
	else
		fprintf(f, "remotehost = 10.1.0.%u\nremoteport = %u\n",
		    line + 1, port);
	if (!server || su->rates_on_server) {
		if (su->up_Bps[line] != 0)
			fprintf(f, "bandwidth_upload = %llu\n",
			    (unsigned long long)su->up_Bps[line]);
		if (su->down_Bps[line] != 0)
			fprintf(f, "bandwidth_download = %llu\n",
			    (unsigned long long)su->down_Bps[line]);
	}
	fprintf(f, "%s\n", or_else(es->link, ""));
}

struct conf *
sim_conf(const struct sim *s, int end)
{
	const struct sim_end_setup *es = &s->setup.end[end];
	struct conf_errors errs = { 0 };
	struct conf *conf;
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	SIM_MUST(f != NULL);
	fprintf(f, "[general]\nmode = %s\npassword = %s\ntimeout = %ums\n%s\n",
	    or_else(es->mode, end == SERVER ? "server" : "client"),
	    or_else(es->password, "correct horse battery"), s->setup.timeout_ms,
	    or_else(es->general, ""));
	if (es->cipher != NULL)
		fprintf(f, "cipher = %s\n", es->cipher);
	if (es->tuntap != NULL)
		fprintf(f, "tuntap = %s\n", es->tuntap);
	for (unsigned i = 0; i < s->setup.lines; i++)
		if ((s->setup.removed & 1U << i) == 0)
			link_text(f, s, end, i);
	fclose(f);
	conf = conf_parse(text, len, &errs);
	ck_assert_msg(conf != NULL, "line %u: %s in\n%s", errs.list[0].line,
	    errs.list[0].text, text);
	free(text);
	return conf;
}
