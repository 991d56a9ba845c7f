"""The SSI module: the autonomous client beside one meter, a machine without I/O.

The files, in reading order:

*What a module is*: ``module`` (its two faces, and what it does after each word), ``parts`` (what
it consists of, and how it does), ``starting`` (from the meter's first answer to work),
``outcomes`` (who hears of what has come of a job, or from the network), ``states`` (its life in
codes).

*What it keeps* in non-volatile memory: ``factory`` (who it is, its first key), ``memory``
(cursors and all that a restart must know), ``configuration`` (what the TMS has provisioned),
``keys``, ``outbox`` (reports that wait), ``invocation_ids``, ``boot`` (which slot is started).

*Towards the meter*: ``meter_side`` (one job a session), ``guard`` (what it may do there),
``known_meter`` (each job at the meter that is known, or not at all), ``meter_link`` (does it
answer, when is it read from the start), ``identity``, ``meter_data`` (context and clock),
``work`` (what a session does), ``profile_reading`` and ``log_reading`` (two lists that move:
``moving_list``).

*On schedules*: ``scheduler`` (what is due), ``tasks`` (what a run does), ``clock_check``,
``demand_reset``, ``self_read``, ``gap_filling`` (what left the outbox unsent).

*On exceptions*: ``watching`` (looks within its duty), ``status_bits``, ``log_judging``,
``table_monitor`` (what to read, what it means), ``element``, ``conditions`` and ``extremes`` (one
monitor's value), ``voltages`` (sags and swells), ``outage`` (two witnesses of the mains),
``power`` (what follows), ``alarms`` (log, advisory or alarm).

*Towards the network*: ``reports`` (what one is made of), ``reporter`` (makes them durable),
``network_side`` (registers, sends, takes requests), ``own_node`` and ``own_registration`` (what
it does that by), ``sending_order`` (what next, and by which bearer), ``refusals`` (which report is
at fault), ``bearers_up``, ``network_news``.

*Asked by the network*: ``authority`` (who may), ``serving`` (now, or by a job), ``own_tables``
(what the SSI's tables show and do), ``upgrade`` (a signed image, a trial, the way back).
"""
