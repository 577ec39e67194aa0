/** An office whose agents are given more than they use: configuration and policies for tests of replay, suggestion and explanation. */

export const OFFICE_YAML = `version: 1
agents:
  clerk: { owner: dana@shop.example, publicKeys: clerk.jwks.json }
  payer: { owner: dana@shop.example, publicKeys: payer.jwks.json, zone: finance }
  idle: { owner: dana@shop.example, publicKeys: idle.jwks.json }
approvals:
  approvers: [os:dana]
  groups: { finance: [os:dana] }
connectors:
  mail:
    owner: dana@shop.example
    transport: { http: { url: http://127.0.0.1:1/mcp } }
    tools:
      search: { class: read, dataClasses: [personal], arguments: { query: string }, source: { trust: untrusted }, approvedBy: dana@shop.example }
      send: { class: export, arguments: { to: string }, sink: external, critical: { to: address }, approvedBy: dana@shop.example }
      archive: { class: write, approvedBy: dana@shop.example }
  bank:
    owner: dana@shop.example
    zone: finance
    transport: { http: { url: http://127.0.0.1:2/mcp } }
    tools:
      balance: { class: read, approvedBy: dana@shop.example }
      pay: { class: financial, arguments: { amount: long, to: string, urgent: boolean? }, approvedBy: dana@shop.example }
      close: { class: privilege, approvedBy: dana@shop.example }
    prompts:
      summary: { class: read, approvedBy: dana@shop.example }
templates:
  office:
    owner: dana@shop.example
    purpose: everyday work
    agents: [clerk, payer]
    classes: [read, write, export, financial]
    tools: ["mail/*", "bank/*"]
    calls: 40
    maxDurationSeconds: 36000
  paying:
    owner: dana@shop.example
    purpose: pay bills
    agents: [payer]
    classes: [read, financial, privilege]
    tools: [bank/balance, bank/pay, bank/close]
    calls: 500
    maxDurationSeconds: 86400
`;

/** Broad permits, groups, holds that are lifted by people, conditions on arguments and on labels. */
export const OFFICE_CEDAR = `// What agents may do in the office.
@id("agents-list")
permit (principal is Remit::Agent, action == Remit::Action::"discover", resource);

// Reading is for everybody.
@id("agents-read")
@reason("Agents may read.")
permit (principal is Remit::Agent, action in Remit::Action::"read", resource);

@id("agents-mail")
permit (principal is Remit::Agent, action, resource in Remit::Connector::"mail");

@id("payer-pays")
permit (principal == Remit::Agent::"payer", action in [Remit::Action::"financial", Remit::Action::"privilege"], resource);

@id("staff")
permit (principal in Remit::Group::"https://idp.example#staff", action, resource)
when { context.task.purpose != "closed" };

@id("leads-pay")
permit (principal in Remit::Group::"https://idp.example#leads", action == Remit::Action::"bank/pay", resource);

@id("small-amounts")
@reason("Large payments are not for agents.")
@next("Ask the bank.")
forbid (principal, action == Remit::Action::"bank/pay", resource)
when { context.args.amount > 900 };

@id("payments-are-approved")
@step_up("approvers=finance expires=15m")
forbid (principal, action == Remit::Action::"bank/pay", resource)
when { context.args.amount > 500 };

@id("tainted-tasks-do-not-pay")
forbid (principal is Remit::Agent, action == Remit::Action::"bank/pay", resource)
when { context.labels.trust == "untrusted" && context.args.amount > 100 };

@id("risky-tasks-see-no-balance")
forbid (principal is Remit::Agent, action == Remit::Action::"bank/balance", resource)
when { context.risk.task == "high" };

@id("never")
permit (principal == Remit::Agent::"idle", action in Remit::Action::"call", resource);
`;
