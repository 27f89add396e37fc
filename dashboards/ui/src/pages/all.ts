// The pages behind the first one, as one chunk: together they compress far better than one by one. Autoscaling, with its
// tabs, is a chunk of its own.
export { Alerts } from './Alerts';
export { Explore } from './Explore';
export { Host } from './Host';
export { Hosts } from './Hosts';
export { Logs } from './Logs';
export { NotFound } from './NotFound';
export { Reports } from './Reports';
export { Service } from './Service';
export { Services } from './Services';
export { Status } from './Status';
export { Targets } from './Targets';
export { TicketPage } from './Ticket';
